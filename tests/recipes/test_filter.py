"""What the filter keeps, and that a killed filter goes on to the same result."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import load_dataset

from recipes import filter as filter_recipe
from recipes.filter import decide
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
    samples = out / "samples.jsonl"
    if cut_bytes:
        samples.write_bytes(samples.read_bytes()[:-cut_bytes])
    stub_generator.killed_at_call = None
    run_filter(monkeypatch, data, model_folder, out)
    # 2 chunks before the kill; after it the third, or the cut row with three of the rest, then one.
    assert stub_generator.n_calls == (4 if cut_bytes else 3)
    assert files_of(out) == files_of(tmp_path / "whole")


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
    ],
)
def test_bad_settings(monkeypatch, tmp_path, model_folder, options, message) -> None:
    with pytest.raises(UserError, match=message):
        run_filter(monkeypatch, tmp_path, model_folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
