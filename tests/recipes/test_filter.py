"""What the filter keeps, and that a killed filter goes on to the same result."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import load_dataset

from data_prep.prompts import load_prompts
from recipes import filter as filter_recipe
from recipes.eval_shards import n_processes, own_command, run_shards
from recipes.filter import FilterArguments, decide, decide_rows
from recipes.filter_asks import make_asks
from recipes.filter_results import with_pass_rates
from recipes.reward_gain import mean_rewards
from recipes.row_samples import row_seed
from rewards.errors import UserError
from tests.recipes.conftest import StubGenerator, small_rows

RIGHT, WRONG, UNPARSED = "<think></think>fake", "<think></think>real", "<think>fake"


def record(*completions: str) -> dict:
    return {"id": "a", "question_bank": "simple", "label": "fake", "completions": list(completions)}


@pytest.mark.parametrize(
    ("completions", "drop_never_right", "n_correct", "dropped"),
    [
        pytest.param([RIGHT] * 5, False, 5, "always right", id="right 5 of 5"),
        pytest.param([RIGHT] * 4 + [WRONG], False, 4, None, id="right 4 of 5"),
        pytest.param([RIGHT] * 4 + [UNPARSED], False, 4, None, id="unparsed is not right"),
        pytest.param([WRONG] * 5, False, 0, None, id="never right is kept as in the paper"),
        pytest.param([WRONG] * 5, True, 0, "never right", id="never right dropped on demand"),
        pytest.param([RIGHT] * 5, True, 5, "always right", id="always right in any case"),
        pytest.param(["The image is fake."] * 5, False, 5, "always right", id="format not asked"),
    ],
)
def test_decision(completions, drop_never_right, n_correct, dropped) -> None:
    decision = decide(record(*completions), drop_never_right)
    assert decision["n_correct"] == n_correct
    assert decision["pass_rate"] == n_correct / 5
    assert decision["dropped"] == dropped


def test_mean_rewards() -> None:
    # 2 of 4 right; 3 of 4 well-formed; 3 of 4 without reasoning under a simple question
    means = mean_rewards([record(RIGHT, RIGHT), record(WRONG, UNPARSED)])
    assert means == {"accuracy_reward": 0.5, "format_reward": 0.75, "hybrid_reward": 0.75}


def test_seed_depends_on_row_and_bank_alone() -> None:
    row = {"id": "a", "question_bank": "simple"}
    assert row_seed(row, 0) == row_seed(dict(row), 0)
    others = [({**row, "id": "b"}, 0), ({**row, "question_bank": "hard"}, 0), (row, 1)]
    assert row_seed(row, 0) not in {row_seed(other, seed) for other, seed in others}


def run_filter(monkeypatch, data: Path, model: Path, output_dir: Path, **options) -> None:
    words = {"model_name_or_path": model, "dataset_name": data, "output_dir": output_dir}
    words |= {"chunk_rows": 4, **options}
    argv = [word for key, value in words.items() for word in (f"--{key}", str(value))]
    monkeypatch.setattr(sys, "argv", ["filter", *argv])
    filter_recipe.main()


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def as_dicts(rows: Any) -> list[dict[str, Any]]:
    return rows.remove_columns("images").to_list()


def files_of(folder: Path) -> dict[str, bytes]:
    names = [*folder.glob("*.jsonl"), folder / "summary.json", *folder.glob("kept/data/*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in names}


def test_output_files(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator: type[StubGenerator]
) -> None:
    data = write_rows(small_rows(12), "train")
    run_filter(monkeypatch, data, model_folder, tmp_path / "out")
    out = tmp_path / "out"
    rates = [json.loads(line) for line in (out / "pass_rates.jsonl").read_text().splitlines()]
    assert [rate["id"] for rate in rates] == [f"row-{index}" for index in range(12)]
    assert all(rate["n_samples"] == 5 for rate in rates)
    kept = load_dataset(str(out / "kept"), split="train")
    expected = {rate["id"]: rate["pass_rate"] for rate in rates if rate["dropped"] is None}
    assert dict(zip(kept["id"], kept["pass_rate"], strict=True)) == expected
    assert 0 < len(kept) <= 12
    assert set(kept.column_names) == {*small_rows(1).column_names, "pass_rate"}
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["n_rows"], summary["n_kept"]) == (12, len(kept))
    assert (out / "pass_rates.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((out / "run.json").read_text())["config"]["num_generations"] == 5


@pytest.mark.parametrize("cut_bytes", [0, 7], ids=["between chunks", "in the middle of a line"])
def test_killed_filter_goes_on_to_the_same_files(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator, cut_bytes: int
) -> None:
    data = write_rows(small_rows(12), "train")
    run_filter(monkeypatch, data, model_folder, tmp_path / "whole")
    assert stub_generator.n_calls == 3
    stub_generator.n_calls, stub_generator.killed_at_call = 0, 2
    out = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        run_filter(monkeypatch, data, model_folder, out)
    assert not (out / "summary.json").exists()
    samples = out / "shards" / "00000-of-00001.jsonl"
    if cut_bytes:
        samples.write_bytes(samples.read_bytes()[:-cut_bytes])
    stub_generator.killed_at_call = None
    run_filter(monkeypatch, data, model_folder, out)
    # 2 chunks before the kill; after it the third, or the cut row with three of the rest, then one.
    assert stub_generator.n_calls == (4 if cut_bytes else 3)
    assert files_of(out) == files_of(tmp_path / "whole")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)], ids=["in order", "last first"])
@pytest.mark.parametrize("options", [{}, {"measure": "both", "neutral_share": 0.4}], ids=str)
def test_shards_give_the_files_of_one_process(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator, order, options
) -> None:
    data = write_rows(small_rows(14), "train")
    run_filter(monkeypatch, data, model_folder, tmp_path / "one", **options)
    out = tmp_path / "three"
    for index in order:
        assert not (out / "summary.json").exists()
        shard = {"num_shards": 3, "shard_index": index}
        run_filter(monkeypatch, data, model_folder, out, **options, **shard)
    assert len(list((out / "shards").iterdir())) == 3
    assert files_of(out) == files_of(tmp_path / "one")


def test_a_killed_shard_goes_on_and_the_others_stay(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    data = write_rows(small_rows(16), "train")
    run_filter(monkeypatch, data, model_folder, tmp_path / "one")
    out = tmp_path / "two"
    stub_generator.n_calls, stub_generator.killed_at_call = 0, 1  # a shard has two chunks of 4
    with pytest.raises(KeyboardInterrupt):
        run_filter(monkeypatch, data, model_folder, out, num_shards=2, shard_index=1)
    stub_generator.killed_at_call = None
    run_filter(monkeypatch, data, model_folder, out, num_shards=2, shard_index=0)
    assert not (out / "summary.json").exists()
    run_filter(monkeypatch, data, model_folder, out, num_shards=2, shard_index=1)
    assert stub_generator.n_calls == 1 + 2 + 1
    assert files_of(out) == files_of(tmp_path / "one")


def test_another_number_of_shards_samples_only_what_is_missing(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    data = write_rows(small_rows(16), "train")
    run_filter(monkeypatch, data, model_folder, tmp_path / "one")
    out = tmp_path / "out"
    run_filter(monkeypatch, data, model_folder, out, num_shards=4, shard_index=2)
    stub_generator.n_calls = 0
    run_filter(monkeypatch, data, model_folder, out)
    assert stub_generator.n_calls == 3  # 12 of 16 rows, in chunks of 4
    assert files_of(out) == files_of(tmp_path / "one")


def test_each_row_is_measured_under_both_banks(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    rows = small_rows(12)
    data = write_rows(rows, "train")
    run_filter(monkeypatch, data, model_folder, tmp_path / "own")
    run_filter(monkeypatch, data, model_folder, tmp_path / "both", measure="both")
    rates = read_lines(tmp_path / "both" / "pass_rates.jsonl")
    assert [(rate["id"], rate["question_bank"]) for rate in rates[:4]] == [
        *(("row-0", "simple"), ("row-0", "hard")),  # the row's own question first
        *(("row-1", "simple"), ("row-1", "hard")),
    ]
    by_key = {(rate["id"], rate["question_bank"]): rate["pass_rate"] for rate in rates}
    assert len(by_key) == len(rates) == 24
    kept = load_dataset(str(tmp_path / "both" / "kept"), split="train")
    for row in as_dicts(kept):
        assert row["pass_rate"] == by_key[row["id"], row["question_bank"]]
        assert row["pass_rate_simple"] == by_key[row["id"], "simple"]
        assert row["pass_rate_hard"] == by_key[row["id"], "hard"]
    # What is kept, and the samples under the rows' own questions, are as without.
    assert kept["id"] == load_dataset(str(tmp_path / "own" / "kept"), split="train")["id"]
    own, both = (tmp_path / name / "samples.jsonl" for name in ("own", "both"))
    assert own.read_bytes() == both.read_bytes()
    assert len(read_lines(tmp_path / "both" / "measured_samples.jsonl")) == 12
    summary = json.loads((tmp_path / "both" / "summary.json").read_text())
    assert {bank: of["n_rows"] for bank, of in summary["banks"].items()} == {
        "simple": 12,
        "hard": 12,
    }
    assert summary["banks"]["simple"]["thinking_rate"] == 0.0


@pytest.mark.parametrize(
    ("own", "other", "decide_by", "dropped"),
    [
        pytest.param(RIGHT, WRONG, "own", "always right", id="its own question decides"),
        pytest.param(RIGHT, WRONG, "both", None, id="still wrong under the other"),
        pytest.param(RIGHT, RIGHT, "both", "always right", id="right under both"),
        pytest.param(WRONG, RIGHT, "own", None, id="wrong under its own"),
        pytest.param(WRONG, RIGHT, "both", None, id="wrong under its own, both asked"),
    ],
)
def test_which_banks_decide(own, other, decide_by, dropped) -> None:
    args = FilterArguments("d", "o", measure="both", decide_by=decide_by)
    records = [record(*[own] * 5), {**record(*[other] * 5), "question_bank": "hard"}]
    ((first, second),) = decide_rows(records, ["simple"], args)
    assert (first["dropped"], second["dropped"]) == (dropped, None)


def test_a_share_of_the_rows_gets_a_neutral_question(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    rows = small_rows(40)
    options = {"measure": "both", "neutral_share": 0.5}
    run_filter(monkeypatch, write_rows(rows, "train"), model_folder, tmp_path / "out", **options)
    kept = load_dataset(str(tmp_path / "out" / "kept"), split="train")
    before = {row["id"]: row for row in as_dicts(rows)}
    neutral = load_prompts().neutral
    n_neutral = 0
    for row in as_dicts(kept):
        same = before[row["id"]]
        if row["question_bank"] == "neutral":
            n_neutral += 1
            assert row["question"] in neutral
            assert row["prompt"][-1]["content"] == row["question"]
            assert row["prompt"][0] == same["prompt"][0]
            assert None not in (row["pass_rate_simple"], row["pass_rate_hard"])
        else:
            assert {name: row[name] for name in same} == same
    assert 0.25 * len(kept) < n_neutral < 0.75 * len(kept)
    images: Any = kept["images"]
    assert [image.getpixel((0, 0)) for (image,) in images] == [
        (int(row_id.split("-")[1]), 64, 128) for row_id in kept["id"]
    ]


def test_kept_rows_are_written_without_a_copy_of_the_images(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    data = write_rows(small_rows(12), "train")
    run_filter(monkeypatch, data, model_folder, tmp_path / "out")
    rows = load_dataset(str(data), split="train")
    asks = make_asks(rows, rows["question_bank"], False, load_prompts(), 0)
    with_rates = with_pass_rates(
        asks, [[{"pass_rate": 0.2, "question_bank": b}] for b in rows["question_bank"]]
    )
    address = [t.data.column("images").chunk(0).buffers()[1].address for t in (rows, with_rates)]
    assert address[0] == address[1]


def test_local_shards_are_this_command_on_a_gpu_each(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    words = "import os, sys; print(os.environ['CUDA_VISIBLE_DEVICES'], *sys.argv[1:])"
    run_shards([sys.executable, "-c", words], n_processes(None, 2), 2, tmp_path)
    assert (tmp_path / "shard-1.log").read_text().split() == [
        *("6,7", "--num_shards", "2", "--shard_index", "1"),
    ]
    monkeypatch.setattr(sys, "argv", ["filter", "--config", "f.yaml", "--restart", "true"])
    command = own_command("recipes.filter")
    assert command[1:5] == ["-m", "recipes.filter", "--config", "f.yaml"]
    assert command[-2:] == ["--restart", "false"]  # or a shard would throw away the others' work


def test_finished_filter_needs_no_engine(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    data = write_rows(small_rows(8), "train")
    for _ in range(2):
        run_filter(monkeypatch, data, model_folder, tmp_path / "out")
    assert stub_generator.n_started == 1


def test_nothing_left_is_an_error_that_says_so(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    data = write_rows(small_rows(8), "train")
    monkeypatch.setattr(
        stub_generator, "_answer", lambda self, request, index: _right_answer(request)
    )
    for _ in range(2):  # and says so again
        with pytest.raises(UserError, match="no rows are left"):
            run_filter(monkeypatch, data, model_folder, tmp_path / "out")
    assert not (tmp_path / "out" / "kept").exists()


def _right_answer(request):
    from recipes.generation import Generated

    return Generated(f"<think></think>{('real', 'fake')[request.image.getpixel((0, 0))[0] % 2]}", 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"temperature": 0}, "temperature", id="five times the same"),
        pytest.param({"num_generations": 0}, "at least 1", id="no samples"),
        pytest.param({"chunk_rows": 0}, "at least 1", id="no rows in a chunk"),
        pytest.param({"measure": "hard"}, "own or both", id="a bank that is none"),
        pytest.param({"decide_by": "both"}, "needs measure", id="decides by what is not measured"),
        pytest.param({"neutral_share": 50}, "between 0 and 1", id="per cent"),
        pytest.param({"num_shards": 2, "shard_index": 2}, "shard_index=2", id="no such shard"),
        pytest.param(
            {"num_shards": 2, "shard_index": 0, "restart": True}, "--restart", id="others' work"
        ),
    ],
)
def test_bad_settings(monkeypatch, tmp_path, model_folder, options, message) -> None:
    with pytest.raises(UserError, match=message):
        run_filter(monkeypatch, tmp_path, model_folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
