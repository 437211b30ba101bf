import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rewards.__main__ import main
from rewards.errors import run_cli
from rewards.records import format_lines
from tests.rewards.made_up import prediction

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def score(monkeypatch, capsys):
    """Return a function that runs the command line within this process."""

    def run(predictions: Path, output_dir: Path, *options: str) -> SimpleNamespace:
        arguments = [str(predictions), "--output_dir", str(output_dir), *options]
        monkeypatch.setattr(sys, "argv", ["rewards", *arguments])
        with pytest.raises(SystemExit) as exit_:
            run_cli(main)
        printed = capsys.readouterr()
        return SimpleNamespace(status=exit_.value.code, stdout=printed.out, stderr=printed.err)

    return run


@pytest.fixture
def predictions_file(tmp_path):
    path = tmp_path / "predictions.jsonl"
    predictions = [
        prediction(str(i), label, bank=bank)
        for i, label in enumerate(["real", "fake", "real"])
        for bank in ("simple", "hard")
    ]
    path.write_text(format_lines(predictions))
    return path


def test_metrics_and_table_are_written_and_printed(tmp_path, predictions_file):
    output_dir = tmp_path / "new" / "folder"
    command = [sys.executable, "-m", "rewards", predictions_file, "--output_dir", output_dir]
    done = subprocess.run(
        [*command, "--n_bootstrap", "20"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    names = {path.name for path in output_dir.iterdir()}
    assert names == {"metrics.json", "table1.md", "table1.tex"}
    metrics = json.loads((output_dir / "metrics.json").read_text())
    assert {"all", "simple", "hard"} <= set(metrics)
    assert "neutral" not in metrics
    assert metrics["all"]["n"] == 6
    assert metrics["simple"]["accuracy"] == pytest.approx(2 / 3)
    assert metrics["simple"]["ci95"]["n_bootstrap"] == 20
    assert done.stdout == (output_dir / "table1.md").read_text()


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (None, [], "there is no predictions file"),
        ("", [], "is empty"),
        ("not JSON\n", [], "line 1 is not JSON"),
        ("{}\n", [], "line 1 lacks"),
        (format_lines([prediction(label="genuine")]), [], "unknown label 'genuine'"),
        (format_lines([prediction()]), ["--bootstrap_unit", "source"], "have no source"),
        (format_lines([prediction()]), ["--n_bootstrap", "-5"], "n_bootstrap is -5"),
    ],
    ids=["missing", "empty", "not JSON", "no keys", "label", "no source", "negative"],
)
def test_bad_input_gives_one_paragraph_and_writes_nothing(tmp_path, score, text, options, message):
    path, output_dir = tmp_path / "predictions.jsonl", tmp_path / "out"
    if text is not None:
        path.write_text(text)
    done = score(path, output_dir, *options)
    assert done.status == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not output_dir.exists()


def test_a_failed_run_leaves_the_earlier_result(tmp_path, score, predictions_file):
    output_dir = tmp_path / "out"
    assert score(predictions_file, output_dir, "--n_bootstrap", "9").status == 0
    before = {path: path.read_bytes() for path in output_dir.iterdir()}
    predictions_file.write_text(predictions_file.read_text() + "{cut")
    assert score(predictions_file, output_dir).status == 2
    assert {path: path.read_bytes() for path in output_dir.iterdir()} == before


def test_an_output_folder_that_is_a_file_is_refused(score, predictions_file):
    done = score(predictions_file, predictions_file)
    assert done.status == 2
    assert "error: cannot write into" in done.stderr


def test_other_errors_keep_their_traceback():
    def broken() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        run_cli(broken)
