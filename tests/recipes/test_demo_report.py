"""What the demo reports, from made-up predictions."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset

from recipes.demo_report import METHODS, write_report
from recipes.sampling_agreement import RATIO
from rewards import render_answer
from rewards.files import write_json, write_text
from rewards.judged import judge
from rewards.metrics import compute_metrics
from rewards.records import Prediction, format_lines
from tests.recipes.conftest import small_rows

N_IMAGES = 16


def predictions_of(rows: Dataset, method: str) -> list[Prediction]:
    """Return answers: base cannot be read, SFT is right on 3 of 4, RL always."""
    predictions = []
    for index, row in enumerate(rows.to_list()):
        for bank in ("simple", "hard"):
            right = method == "rl" or index % 8 > 1
            verdict = row["label"] if right else {"real": "fake", "fake": "real"}[row["label"]]
            answer = render_answer(verdict, "Edges are soft." if bank == "hard" else "")
            text = "no idea" if method == "base" else answer
            about = {key: row[key] for key in ("id", "label", "source", "generator", "category")}
            predictions.append(
                Prediction(
                    question_bank=bank, completion=text, n_completion_tokens=len(text), **about
                )
            )
    return predictions


@pytest.fixture
def run(tmp_path: Path, write_rows: Callable[[Dataset, str], Path]) -> Path:
    """Return a run folder as the stages leave it."""
    rows = small_rows(N_IMAGES)
    write_rows(rows, "test").rename(tmp_path / "test")
    folder = tmp_path / "run"
    for method in METHODS:
        predictions = predictions_of(rows, method)
        metrics = compute_metrics(judge(predictions), 50, 0)
        write_text(folder / "eval" / method / "predictions.jsonl", format_lines(predictions))
        write_json(folder / "eval" / method / "metrics.json", metrics)
    steps = [{"step": i, RATIO: 1.0 + i / 1000} for i in range(40)]
    log = [*steps, {"step": 40, "train_runtime": 9.0}]
    write_text(folder / "grpo" / "log.jsonl", "".join(json.dumps(line) + "\n" for line in log))
    write_json(folder / "grpo" / "run.json", {"config": {"reward_weights": [0.8, 0.1, 0.1]}})
    write_rows(rows, "train").rename(tmp_path / "rl")
    for name, method in (("filter", "sft"), ("rewards-rl", "rl")):
        samples = [{**vars(p), "completions": [p.completion]} for p in predictions_of(rows, method)]
        lines = "".join(json.dumps(sample) + "\n" for sample in samples)
        write_text(folder / name / "samples.jsonl", lines)
    write_json(folder / "times.json", {"data": 1.0, "total": 1.0})
    return folder


def test_report(run: Path, capsys) -> None:
    write_report(run, run.parent, seed=0)
    results = json.loads((run / "results.json").read_text())
    # SFT is right on 12 of 16 images, a constant on 8, RL on all.
    assert results["sft_minus_constant"]["difference"] == pytest.approx(0.25)
    assert results["rl_minus_sft"]["difference"] == pytest.approx(0.25)
    assert results["sft_minus_constant"]["unit"] == "source"
    assert results["rl_thinking_rate"] == {"simple": 0.0, "hard": 1.0}
    assert results["rl_unparsed_rate"] == 0.0
    # SFT: 12 of 16 answers earn 1.0, 4 are wrong and earn 0.2; RL: all earn 1.0.
    assert results["rl_set_reward"]["before"] == pytest.approx(0.8)
    assert results["rl_set_reward"]["after"] == pytest.approx(1.0)
    assert results["importance_ratio_range"] == pytest.approx([1.0, 1.039])
    table = (run / "table1.md").read_text()
    assert f"{N_IMAGES} test images under both banks, seed 0, commit" in table
    methods = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| ")]
    expected = ["| base", "| base", "| SFT", "| SFT", "| RL", "| RL"]
    assert methods[1:] == [*expected, "| always real", "| always fake"]
    assert table.splitlines()[2] in capsys.readouterr().out
    report = (run / "report.md").read_text()
    assert "accuracy, RL minus SFT, points: +25.0 [" in report
    assert report.count("**RL**") == 6  # two real images and a subtle fake, two banks
    for name in ("token_lengths.png", "samples.png"):
        assert (run / name).read_bytes().startswith(b"\x89PNG")


def test_samples_are_the_same_each_time(run: Path) -> None:
    write_report(run, run.parent, seed=0)
    first = (run / "report.md").read_text()
    write_report(run, run.parent, seed=0)
    assert (run / "report.md").read_text() == first
