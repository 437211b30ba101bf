"""What else an evaluation asks; images that are gone; work that is shared, or killed."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image

from data_prep.prompts import DEFAULT_PROMPTS_FILE, load_prompts
from recipes.eval_asks import Shard
from recipes.eval_images import read_image, stored_rows
from recipes.eval_shards import ShardArguments, n_processes, run_shards, visible_devices
from rewards.errors import UserError
from rewards.records import read_predictions
from tests.recipes.conftest import StubGenerator, small_rows
from tests.recipes.test_eval import read_lines, run_eval

ROOT = Path(__file__).parents[2]


@pytest.fixture
def asked(monkeypatch, stub_generator: type[StubGenerator]) -> list:
    """Return the list that every request of the stub is added to."""
    requests = []
    answer = stub_generator._answer
    monkeypatch.setattr(
        stub_generator,
        "_answer",
        lambda self, request, index: requests.append(request) or answer(self, request, index),
    )
    return requests


def test_auto_mode_asks_neutral_questions(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, asked
) -> None:
    data = write_rows(small_rows(4), "test")
    run_eval(monkeypatch, data, model_folder, tmp_path / "out", modes="auto")
    lines = read_lines(tmp_path / "out" / "predictions.jsonl")
    assert [line["question_bank"] for line in lines] == ["neutral"] * 4
    assert {line["question"] for line in lines} <= set(load_prompts().neutral)
    assert "neutral" in json.loads((tmp_path / "out" / "metrics.json").read_text())


def test_auto_mode_without_neutral_questions(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    content = yaml.safe_load(DEFAULT_PROMPTS_FILE.read_text(encoding="utf-8"))
    del content["neutral"]
    (tmp_path / "prompts.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    options = {"modes": "auto", "prompts_file": tmp_path / "prompts.yaml"}
    data = write_rows(small_rows(4), "test")
    with pytest.raises(UserError, match="no 'neutral' bank, which mode 'auto' asks"):
        run_eval(monkeypatch, data, model_folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_samples_are_the_filters_by_seed(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, asked
) -> None:
    data = write_rows(small_rows(4), "test")
    run_eval(monkeypatch, data, model_folder, tmp_path / "out", num_samples=3)
    lines = read_lines(tmp_path / "out" / "samples.jsonl")
    assert [(line["id"], line["question_bank"]) for line in lines] == [
        (f"row-{index}", bank) for index in range(4) for bank in ("simple", "hard")
    ]
    assert all(len(line["completions"]) == len(line["n_completion_tokens"]) == 3 for line in lines)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["samples"] is not None
    usage = json.loads((tmp_path / "out" / "usage.json").read_text())
    tokens = sum(sum(line["n_completion_tokens"]) for line in lines)
    assert usage["samples.jsonl"]["n_completion_tokens"] == tokens


def test_forced_modes_ask_the_same_questions(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, asked
) -> None:
    data = write_rows(small_rows(4), "test")
    run_eval(monkeypatch, data, model_folder, tmp_path / "out", forced_modes="true")
    free = {
        (p.id, p.question_bank): p for p in read_predictions(tmp_path / "out/predictions.jsonl")
    }
    for mode, start in (("direct", "<think></think>"), ("think", "<think>\n")):
        forced = read_predictions(tmp_path / "out" / f"forced_{mode}.jsonl")
        assert {(p.id, p.question_bank) for p in forced} == set(free)
        for p in forced:
            assert p.completion.startswith(start)
            assert p.question == free[p.id, p.question_bank].question
    assert [request.start for request in asked] == [""] * 8 + ["<think></think>"] * 8 + [
        "<think>\n"
    ] * 8
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["routing"] is not None


def test_changed_images_are_added_to_a_finished_evaluation(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, asked
) -> None:
    data, out = write_rows(small_rows(4), "test"), tmp_path / "out"
    run_eval(monkeypatch, data, model_folder, out)
    before = (out / "predictions.jsonl").read_bytes()
    options = {"robustness": "true", "robustness_variants": "resize-50"}
    run_eval(monkeypatch, data, model_folder, out, **options)
    assert (out / "predictions.jsonl").read_bytes() == before
    assert [request.image.size for request in asked[8:]] == [(28, 28)] * 4
    lines = read_predictions(out / "robustness" / "resize-50.jsonl")
    assert [(p.question_bank, p.width, p.height) for p in lines] == [("simple", 56, 56)] * 4
    assert set(json.loads((out / "metrics.json").read_text())["robustness"]) == {"resize-50"}


def test_thumbnails(monkeypatch, tmp_path, write_rows, model_folder, stub_generator) -> None:
    wide = io.BytesIO()
    Image.new("RGB", (500, 100), (9, 8, 7)).save(wide, format="JPEG")
    rows = small_rows(2).map(
        lambda row, i: {"images": [{"bytes": wide.getvalue(), "path": "w.jpg"}]} if i else row,
        with_indices=True,
    )
    run_eval(monkeypatch, write_rows(rows, "test"), model_folder, tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "thumbnails.parquet").to_pylist()
    images = {row["id"]: Image.open(io.BytesIO(row["webp"])) for row in table}
    assert {row_id: (image.format, image.size) for row_id, image in images.items()} == {
        "row-0": ("WEBP", (56, 56)),
        "row-1": ("WEBP", (160, 32)),
    }


def break_images(rows, broken: dict[int, list]):
    """Return ``rows`` with other stored images at some places."""
    records = stored_rows(rows, range(len(rows)))
    for place, images in broken.items():
        records[place]["images"] = images
    return type(rows).from_list(records, features=rows.features)


def test_images_gone_or_broken_are_listed_and_left_out(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator, capsys
) -> None:
    whole = stored_rows(small_rows(6), [1])[0]["images"][0]["bytes"]
    broken = {
        0: [{"bytes": None, "path": str(tmp_path / "gone.png")}],
        1: [{"bytes": whole[: len(whole) // 2], "path": "cut.png"}],
        2: [{"bytes": b"no image", "path": "text.png"}],
        3: [],
    }
    monkeypatch.setattr("data_prep.writer.Dataset.to_parquet", _to_parquet_as_stored)
    data = write_rows(break_images(small_rows(6), broken), "test")
    options = {"robustness": "true", "robustness_variants": "jpeg-50"}
    run_eval(monkeypatch, data, model_folder, tmp_path / "out", **options)
    lines = read_lines(tmp_path / "out" / "predictions.jsonl")
    assert [line["id"] for line in lines] == ["row-4", "row-4", "row-5", "row-5"]
    skipped = {
        line["id"]: line["reason"] for line in read_lines(tmp_path / "out" / "skipped.jsonl")
    }
    assert skipped["row-0"] == "the image file is gone"
    assert skipped["row-1"].startswith("the image cannot be decoded")
    assert skipped["row-2"].startswith("the image cannot be decoded")
    assert skipped["row-3"] == "the row has no image"
    assert "4 rows are left out" in capsys.readouterr().out
    assert pq.read_table(tmp_path / "out" / "thumbnails.parquet")["id"].to_pylist() == [
        "row-4",
        "row-5",
    ]


def _to_parquet_as_stored(self, path: Path) -> None:
    """Write a shard without reading the image files that it names."""
    pq.write_table(self.with_format("arrow")[:], path)


def test_no_image_left_is_an_error(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    rows = break_images(small_rows(2), {i: [{"bytes": b"x", "path": "x"}] for i in range(2)})
    data = write_rows(rows, "test")
    with pytest.raises(UserError, match=r"none of the 2 rows gave an answer.*cannot be decoded"):
        run_eval(monkeypatch, data, model_folder, tmp_path / "out")
    assert not (tmp_path / "out" / "predictions.jsonl").exists()
    assert len(read_lines(tmp_path / "out" / "skipped.jsonl")) == 2


def test_an_id_twice_is_refused(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    data = write_rows(small_rows(4).map(lambda row: {"id": "same"}), "test")
    with pytest.raises(UserError, match="1 ids stand in several rows"):
        run_eval(monkeypatch, data, model_folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("mode", "kept"), [("RGB", True), ("L", True), ("RGBA", False), ("P", False)]
)
def test_files_are_handed_on_only_where_they_hold_just_the_pixels(mode: str, kept: bool) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (200, 0, 0)).convert(mode).save(buffer, format="PNG")
    found = read_image([{"bytes": buffer.getvalue(), "path": None}])
    assert found.image.mode == "RGB"
    assert (found.encoded is not None) == kept


def test_turned_photograph_is_upright() -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: a quarter turn
    Image.new("RGB", (8, 4)).save(buffer, format="JPEG", exif=exif)
    found = read_image([{"bytes": buffer.getvalue(), "path": None}])
    assert found.image.size == (4, 8)
    assert found.encoded is None


SHARDED_FILES = ("predictions.jsonl", "metrics.json", "table1.md")


def test_shards_give_the_same_files(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    data = write_rows(small_rows(7), "test")
    run_eval(monkeypatch, data, model_folder, tmp_path / "whole", name="stub")
    out = tmp_path / "shards"
    for index in (2, 0):
        options = {"num_shards": 3, "shard_index": index}
        run_eval(monkeypatch, data, model_folder, out, name="stub", **options)
        assert not (out / "predictions.jsonl").exists()
    done = {line["id"] for file in out.glob("*.partial-*") for line in read_lines(file)}
    assert done == {"row-0", "row-3", "row-6", "row-2", "row-5"}
    # The lost shard is what the plain command asks: two rows, in one call.
    stub_generator.n_calls = 0
    run_eval(monkeypatch, data, model_folder, out, name="stub")
    assert stub_generator.n_calls == 1
    for name in SHARDED_FILES:
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert not list(out.glob("*partial*"))


def test_summing_up_finished_shards_needs_no_engine(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    data, out = write_rows(small_rows(4), "test"), tmp_path / "out"
    for index in (0, 1):
        run_eval(monkeypatch, data, model_folder, out, num_shards=2, shard_index=index)
    assert stub_generator.n_started == 2
    run_eval(monkeypatch, data, model_folder, out)
    assert stub_generator.n_started == 2
    assert (out / "metrics.json").is_file()


KILLED = """
import os, signal, sys
from recipes import eval as recipe
from tests.recipes.conftest import StubGenerator

class Killed(StubGenerator):
    def __call__(self, requests, **settings):
        if type(self).n_calls == 2:
            with open(sys.argv.pop(), "a") as file:
                file.write('{"id": "row-4", "cut')
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(requests, **settings)

recipe.Generator = Killed
recipe.main()
"""


def test_sigkill_costs_a_chunk_at_most(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    data, out = write_rows(small_rows(8), "test"), tmp_path / "killed"
    run_eval(monkeypatch, data, model_folder, tmp_path / "whole", name="stub")
    words = {"model_name_or_path": model_folder, "dataset_name": data, "output_dir": out}
    words |= {"chunk_rows": 2, "n_bootstrap": 20, "name": "stub", "report": "false"}
    argv = [str(word) for key, value in words.items() for word in (f"--{key}", value)]
    # HfArgumentParser would refuse the file to damage; the script takes it off the end.
    partial = out / "predictions.partial.jsonl"
    script = KILLED.replace("sys.argv.pop()", repr(str(partial)))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", script, *argv], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(read_lines_of_whole(partial)) == 8
    run_eval(monkeypatch, data, model_folder, out, name="stub")
    for name in SHARDED_FILES:
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def read_lines_of_whole(path: Path) -> list[str]:
    """Return the lines that end."""
    return path.read_text().splitlines(keepends=True)[:-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"num_shards": 0}, "at least 1", id="none"),
        pytest.param({"shard_index": 0}, "num_shards is None", id="of how many"),
        pytest.param({"num_shards": 2, "shard_index": 2}, "shard_index=2", id="past the end"),
    ],
)
def test_division_that_does_not_exist(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShardArguments(**options)


def test_restart_of_one_shard_would_lose_the_others(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    options = {"num_shards": 2, "shard_index": 0, "restart": "true"}
    data = write_rows(small_rows(4), "test")
    with pytest.raises(UserError, match="throw the other shards away"):
        run_eval(monkeypatch, data, model_folder, tmp_path / "out", **options)


def test_one_engine_for_each_group_of_gpus(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,6,5,4,3,2,1,0")
    assert n_processes(None, 2) == 4
    assert [visible_devices(i, 2)["CUDA_VISIBLE_DEVICES"] for i in (0, 3)] == ["7,6", "1,0"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_devices(1, 2) == {"CUDA_VISIBLE_DEVICES": "2,3"}
    with pytest.raises(UserError, match="needs 10 GPUs; this machine has 8"):
        n_processes(5, 2)


def test_one_process_without_a_gpu(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert n_processes(None, 1) == 1
    assert n_processes(2, 1) == 2
    assert ShardArguments().shard() == Shard(0, 1)


def test_failed_shard_is_named_and_the_others_end(tmp_path) -> None:
    script = (
        "import sys, pathlib; i = sys.argv[-1]; pathlib.Path(sys.argv[1] + i).touch(); "
        "print('ran', i); sys.exit(i == '1')"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "ran-")]
    with pytest.raises(UserError, match=r"shards \[1\] of 3 failed.*--shard_index 1"):
        run_shards(command, 3, 1, tmp_path / "logs")
    assert {path.name for path in tmp_path.glob("ran-*")} == {"ran-0", "ran-1", "ran-2"}
    assert (tmp_path / "logs" / "shard-2.log").read_text() == "ran 2\n"
