"""Built data sets: columns, banks, explanations, shards, card; the same bytes however built."""

import io
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from datasets import Dataset, load_dataset
from PIL import Image

from data_prep.__main__ import run
from data_prep.drop_rows import drop_rows
from data_prep.items import Item
from data_prep.plan import make_plan
from data_prep.prompts import load_prompts
from data_prep.rows import ROW_FEATURES
from data_prep.settings import BuildSettings
from data_prep.shards import plan_shards, write_shard
from data_prep.sources.genimage import read_genimage
from rewards import accuracy_reward, format_reward, hybrid_reward, parse_answer
from rewards.errors import UserError
from tests.data_prep.trees import (
    FAKECLUE_ENTRIES,
    encoded,
    fakeclue_entry,
    make_fakeclue,
    make_genimage,
    pixels,
    save,
)


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("roots")
    fakeclue, genimage = folder / "FakeClue", folder / "GenImage"
    for split in ("train", "test"):
        make_fakeclue(fakeclue, split)
    make_genimage(genimage, n_images=3)
    make_genimage(genimage, split="val")
    return fakeclue, genimage


def build_sft(roots: tuple[Path, Path], out: Path, *options: str) -> Path:
    fakeclue, genimage = map(str, roots)
    own = ["--num_proc", "1", "--rows_per_shard", "5", "--no-audit", *options]
    run(["sft", "--fakeclue", fakeclue, "--genimage", genimage, "--output_dir", str(out), *own])
    return out


@pytest.fixture(scope="module")
def sft(roots, tmp_path_factory) -> Path:
    return build_sft(roots, tmp_path_factory.mktemp("built") / "sft")


def load(folder: Path, split: str = "train") -> Dataset:
    dataset = load_dataset(str(folder), split=split)
    assert isinstance(dataset, Dataset)
    return dataset


def rows_of(folder: Path, split: str = "train") -> dict[str, dict[str, Any]]:
    rows = load(folder, split).remove_columns("images").to_list()
    return {row["id"]: row for row in rows}


def files_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def dropped_of(folder: Path) -> dict[str, str]:
    lines = (folder / "dropped.jsonl").read_text().splitlines()
    return {entry["id"]: entry["reason"] for entry in map(json.loads, lines)}


def test_load_dataset_gives_the_split_with_the_columns_of_every_set(sft):
    dataset = load(sft)
    assert set(load_dataset(str(sft))) == {"train"}
    assert dataset.features == ROW_FEATURES
    assert len(dataset) == 6 + 3 * 3 * 2
    assert len(list((sft / "data").iterdir())) == 5
    assert all(image.mode == "RGB" for images in dataset["images"] for image in images)


def test_genimage_gives_direct_rows_and_fakeclue_reasoning_rows(sft):
    prompts = load_prompts()
    for row_id, row in rows_of(sft).items():
        answer = row["completion"][0]["content"]
        direct = row_id.startswith("genimage/")
        assert row["question_bank"] == ("simple" if direct else "hard")
        assert row["question"] in getattr(prompts, row["question_bank"])
        assert row["prompt"] == prompts.messages(row["question"])
        if direct:
            assert answer == f"<think></think>{row['label']}"
        else:
            assert answer.startswith("<think>\n")
            assert answer.endswith(f"\n</think>{row['label']}")
    row = rows_of(sft)["fakeclue/train/doc/fake/magazine_ch_2/a.jpg"]
    answer = "<think>\nThe letters run together.\n</think>fake"
    assert row["completion"] == [{"role": "assistant", "content": answer}]


def test_every_gold_completion_earns_every_reward(sft):
    rows = list(rows_of(sft).values())
    completions, label, bank = (
        [row[name] for row in rows] for name in ("completion", "label", "question_bank")
    )
    assert set(accuracy_reward(completions, label=label)) == {1.0}
    assert set(format_reward(completions)) == {1.0}
    assert set(hybrid_reward(completions, question_bank=bank)) == {1.0}


def test_bytes_of_fine_files_are_those_of_the_disk(sft, roots):
    items = (item for item in read_genimage(roots[1], "train") if isinstance(item, Item))
    genimage = {item.id: item.path for item in items}
    n_compared = 0
    for shard in sorted((sft / "data").iterdir()):
        for row in pq.read_table(shard, columns=["id", "images"]).to_pylist():
            if row["id"] in genimage:
                assert row["images"][0]["bytes"] == genimage[row["id"]].read_bytes()
                n_compared += 1
    assert n_compared == 18


def test_measurements_stand_beside_the_rows_in_their_order(sft):
    for shard in sorted((sft / "data").iterdir()):
        measured = pq.read_table(sft / "measurements" / shard.name).to_pylist()
        rows = pq.read_table(shard).to_pylist()
        assert [m["id"] for m in measured] == [row["id"] for row in rows]
        for m, row in zip(measured, rows, strict=True):
            data = row["images"][0]["bytes"]
            image = Image.open(io.BytesIO(data))
            found = (m["format"], m["mode"], m["width"], m["height"], m["n_bytes"])
            assert found == (image.format, image.mode, image.width, image.height, len(data))
            assert (m["label"], m["question_bank"]) == (row["label"], row["question_bank"])
            assert len(m["pixel_hash"]) == 16
            words = parse_answer(row["completion"][0]["content"]).reasoning.split()
            assert m["reasoning_words"] == len(words)


def test_rows_are_shuffled_over_the_shards(sft):
    first = pq.read_table(sft / "data" / "train-00000-of-00005.parquet", columns=["id"])
    ids = list(rows_of(sft))
    assert ids[:5] == first["id"].to_pylist()
    assert ids != sorted(ids)


def test_card_tells_counts_terms_command_and_hash(sft, roots):
    card = (sft / "README.md").read_text()
    rows = rows_of(sft)
    for column in ("label", "question_bank", "source", "generator", "category"):
        counts = Counter(row[column] for row in rows.values())
        assert f"- {column}: " + ", ".join(f"{k} {n}" for k, n in sorted(counts.items())) in card
    assert "CC BY-NC-SA 4.0" in card.split("---")[1]  # in the YAML header
    assert "    python -m data_prep sft --no-audit --fakeclue" in card
    assert f"--fakeclue {roots[0]} --genimage {roots[1]} --output_dir {sft}" in card
    assert json.loads((sft / "build.json").read_text())["manifest_hash"] in card
    assert "Chameleon (Fake-HR1, Sec. 3): 1" in card


def test_the_command_of_the_card_makes_the_same_bytes(sft, tmp_path, monkeypatch):
    record = json.loads((sft / "build.json").read_text())
    before = files_of(sft)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    shutil.rmtree(sft)
    run(record["command"].split()[3:])
    assert files_of(sft) == before


def test_bytes_do_not_depend_on_processes_or_listing_order(sft, roots, tmp_path, monkeypatch):
    monkeypatch.setattr("data_prep.workers.N_ROWS_ALONE", 0)
    out = build_sft(roots, tmp_path / "sft", "--num_proc", "2")
    own, before = files_of(out), files_of(sft)
    for name in ("README.md", "build.json"):  # hold the command, and the output folder with it
        del own[name], before[name]
    assert own == before
    copy = (tmp_path / "copied-fakeclue", tmp_path / "copied-genimage")
    for root, target in zip(roots, copy, strict=True):
        for path in sorted((p for p in root.rglob("*") if p.is_file()), reverse=True):
            (target / path.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / path.relative_to(root))
    moved = files_of(build_sft(copy, tmp_path / "moved"))
    assert {n: b for n, b in moved.items() if n in own and n != "dropped.jsonl"} == {
        n: b for n, b in own.items() if n != "dropped.jsonl"
    }


def test_a_question_depends_on_id_and_seed_not_on_the_other_rows(sft, roots, tmp_path):
    out = tmp_path / "one"
    run(
        [
            "sft",
            "--fakeclue",
            str(roots[0]),
            "--output_dir",
            str(out),
            "--rows_per_shard",
            "2",
            "--no-audit",
        ]
    )
    whole = rows_of(sft)
    for row_id, row in rows_of(out).items():
        assert row == whole[row_id]
    other = rows_of(build_sft(roots, tmp_path / "other", "--seed", "1"))
    assert any(other[i]["question"] != row["question"] for i, row in whole.items())
    assert list(other) != list(whole)


@pytest.mark.parametrize(("share", "expected"), [("0", {"simple"}), ("1", {"hard"})])
def test_rl_rows_are_fakeclues_with_questions_of_both_banks(roots, tmp_path, share, expected):
    common = ["rl", "--no-audit", "--fakeclue", str(roots[0]), "--output_dir"]
    run([*common, str(tmp_path / "share"), "--hard_share", share])
    rows = rows_of(tmp_path / "share")
    assert {row["question_bank"] for row in rows.values()} == expected
    assert len(rows) == 6
    assert not any("chameleon" in row_id for row_id in rows)


def test_half_of_the_rl_rows_are_hard_by_default(tmp_path):
    entries = [fakeclue_entry(f"doc/real/{n}.jpg", 1, "Even print.") for n in range(200)]
    root = make_fakeclue(tmp_path / "fc", entries=entries)
    run(["rl", "--fakeclue", str(root), "--output_dir", str(tmp_path / "rl"), "--no-audit"])
    rows = rows_of(tmp_path / "rl").values()
    n_hard = sum(row["question_bank"] == "hard" for row in rows)
    assert 70 < n_hard < 130
    for row in rows:  # the gold answer has the form of the bank
        has_reasoning = parse_answer(row["completion"][0]["content"]).reasoning != ""
        assert has_reasoning == (row["question_bank"] == "hard")


def test_the_test_split_has_every_image_once_with_chameleon_tagged(roots, tmp_path):
    out = tmp_path / "test"
    fakeclue, genimage = map(str, roots)
    run(
        [
            "test",
            "--fakeclue",
            fakeclue,
            "--genimage",
            genimage,
            "--output_dir",
            str(out),
            "--no-audit",
        ]
    )
    rows = rows_of(out, "test")
    assert len(rows) == len(FAKECLUE_ENTRIES) + 3 * 2 * 2
    assert Counter(row["source"] for row in rows.values())["chameleon"] == 1
    caption = rows["fakeclue/test/satellite/real/c.jpg"]["completion"][0]["content"]
    assert parse_answer(caption).reasoning == "Roads meet at right angles."


def test_broken_and_missing_images_are_left_out_listed_and_not_replaced(tmp_path):
    names = ["a.jpg", "b.jpg", "c.jpg", "d.png", "e.jpg"]
    entries = [fakeclue_entry(f"doc/real/{name}", 1, "Even print.") for name in names]
    root = make_fakeclue(tmp_path / "fc", entries=entries)
    folder = root / "train/doc/real"
    whole = (folder / "a.jpg").read_bytes()
    (folder / "a.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "b.jpg").unlink()
    (folder / "c.jpg").write_bytes(b"")
    (folder / "d.png").write_text("not an image")
    run(["sft", "--fakeclue", str(root), "--output_dir", str(tmp_path / "out"), "--no-audit"])
    assert list(rows_of(tmp_path / "out")) == ["fakeclue/train/doc/real/e.jpg"]
    assert {row_id[-5:]: reason for row_id, reason in dropped_of(tmp_path / "out").items()} == {
        "a.jpg": "the image file is truncated or corrupt",
        "b.jpg": "the image file is missing",
        "c.jpg": "the file is empty",
        "d.png": "the file is not an image of a known format",
    }


def test_images_open_upright_and_rgb_whatever_they_were(tmp_path):
    root = make_genimage(tmp_path / "gi", ["adm"], n_images=1)
    folder = root / "ADM/imagenet_ai_0508_adm/train/nature"
    exif = Image.Exif()
    exif[0x0112] = 6
    (folder / "n1_1.JPEG").write_bytes(encoded(pixels(1, 30, 20), exif=exif))
    (folder / "n2_1.JPEG").write_bytes(encoded(pixels(2, 30, 20).convert("CMYK")))
    (folder / "n3_1.JPEG").write_bytes(encoded(pixels(3, 30, 20).convert("L")))
    (folder / "n4_1.png").write_bytes(encoded(pixels(4, 30, 20).convert("RGBA"), "PNG"))
    run(["sft", "--genimage", str(root), "--output_dir", str(tmp_path / "out"), "--no-audit"])
    dataset = load(tmp_path / "out")
    images = {row["id"][-9:]: row["images"][0] for row in dataset}  # type: ignore[index]
    assert {image.mode for image in images.values()} == {"RGB"}
    assert images["n1_1.JPEG"].size == (20, 30)
    assert images["n2_1.JPEG"].size == (30, 20)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Written anew: converted from CMYK: 1; put on white: 1; turned upright: 1." in card


def test_two_entries_with_one_id_give_one_row_or_none(tmp_path):
    same = fakeclue_entry("doc/real/a.jpg", 1, "Even print.")
    entries = [
        same,
        same,
        fakeclue_entry("doc/real/b.jpg", 1, "Even print."),
        fakeclue_entry("doc/real/b.jpg", 0, "Uneven print."),
        fakeclue_entry("doc/real/c.jpg", 1, "Even print."),
    ]
    root = make_fakeclue(tmp_path / "fc", entries=entries)
    run(["sft", "--fakeclue", str(root), "--output_dir", str(tmp_path / "out"), "--no-audit"])
    assert sorted(i[-5:] for i in rows_of(tmp_path / "out")) == ["a.jpg", "c.jpg"]
    lines = (tmp_path / "out" / "dropped.jsonl").read_text().splitlines()
    reasons = Counter(json.loads(line)["reason"] for line in lines)
    assert reasons == {
        "an entry before has the same id": 1,
        "two entries with the same id have different labels": 2,
    }


def test_path_storage_names_the_files_and_holds_only_what_must_be_written_anew(tmp_path):
    root = make_genimage(tmp_path / "gi", ["adm"], n_images=2)
    folder = root / "ADM/imagenet_ai_0508_adm/train/nature"
    save(folder / "n5_5.png", pixels(5).convert("RGBA"))
    out = tmp_path / "out"
    run(
        [
            "sft",
            "--genimage",
            str(root),
            "--output_dir",
            str(out),
            "--image_storage",
            "path",
            "--no-audit",
        ]
    )
    table = pq.read_table(out / "data").to_pylist()
    for row in table:
        image = row["images"][0]
        if row["id"].endswith("n5_5.png"):
            assert Image.open(io.BytesIO(image["bytes"])).mode == "RGB"
        else:
            assert image["bytes"] is None
            assert Path(image["path"]).is_absolute()
            assert Path(image["path"]).is_file()
    assert len(table) == 5
    for row in load(out):
        assert row["images"][0].size == (40, 40) or row["id"].endswith("n5_5.png")  # type: ignore


def test_header_check_writes_the_same_rows_without_hashes(sft, roots, tmp_path):
    out = build_sft(roots, tmp_path / "sft", "--check", "header")
    for shard in sorted((sft / "data").iterdir()):
        assert shard.read_bytes() == (out / "data" / shard.name).read_bytes()
    measured = pq.read_table(out / "measurements" / "train-00000-of-00005.parquet").to_pylist()
    assert {m["pixel_hash"] for m in measured} == {None}
    assert all(m["width"] for m in measured)


def test_own_prompts_take_the_papers_place(roots, tmp_path):
    prompts = tmp_path / "own.yaml"
    prompts.write_text("system: S\nsimple: [A]\nhard: [B]\n")
    out = build_sft(roots, tmp_path / "sft", "--prompts_file", str(prompts))
    assert {row["question"] for row in rows_of(out).values()} == {"A", "B"}
    assert {row["prompt"][0]["content"] for row in rows_of(out).values()} == {"S"}


@pytest.mark.parametrize("killed", [False, True], ids=["once", "called-again"])
def test_dropping_rows_later_leaves_them_out_and_lists_them_once(tmp_path, killed):
    root = make_genimage(tmp_path / "gi", ["adm", "sdv4"], n_images=4)
    settings = BuildSettings("train", 0, load_prompts(), rows_per_shard=6)
    building = tmp_path / "building"
    for name in ("set/data", "set/measurements", "parts", "tmp"):
        (building / name).mkdir(parents=True)
    plan = make_plan(building / "plan.sqlite", [("g", read_genimage(root, "train"))], settings)
    shards = plan_shards("train", plan.n_rows, 6)
    for shard in shards:
        write_shard(building, plan.path, shard, settings, lambda n: None)
    ids = [i for s in sorted((building / "set/data").iterdir()) for i in _ids(s)]
    out = {ids[1]: "leak", ids[7]: "leak", ids[8]: "leak"}
    for _ in range(2 if killed else 1):
        drop_rows(building, plan, shards, out)
    kept = [i for s in sorted((building / "set/data").iterdir()) for i in _ids(s)]
    assert kept == [i for i in ids if i not in out]
    measured = [i for s in sorted((building / "set/measurements").iterdir()) for i in _ids(s)]
    assert measured == kept
    parts = [json.loads(p.read_text()) for p in sorted((building / "parts").iterdir())]
    assert [e["id"] for part in parts for e in part["dropped"]] == list(out)
    assert sum(part["n_rows"] for part in parts) == len(kept)
    assert sum(sum(part["counts"]["label"].values()) for part in parts) == len(kept)


def _ids(path: Path) -> list[str]:
    return pq.read_table(path, columns=["id"])["id"].to_pylist()


def test_nothing_to_build_from_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no data set is given"):
        run(["sft", "--output_dir", str(tmp_path / "out"), "--no-audit"])


def test_the_audit_of_a_header_build_finds_duplicates_and_lists_broken_files(tmp_path):
    root = make_genimage(tmp_path / "genimage", n_images=3)
    first, second = sorted(root.rglob("train/ai/*"))[:2]
    broken = min(root.rglob("train/nature/*"))
    second.write_bytes(first.read_bytes())
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    out = tmp_path / "out"
    run(["sft", "--genimage", str(root), "--output_dir", str(out), "--check", "header"])
    found = json.loads((out / "audit" / "audit.json").read_text())
    assert found["leaks"]["within"][0]["exact"]["n_surplus_rows"] == 1
    assert [entry["id"].rsplit("/")[-1] for entry in found["unreadable"]] == [broken.name]
    assert len(rows_of(out)) == len(list(root.rglob("train/*/*")))
