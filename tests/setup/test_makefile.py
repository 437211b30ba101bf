"""The Makefile's verbs: they exist, they expand, and the documents name no others."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

VERBS = (
    *(
        "help",
        "setup",
        "data",
        "check",
        "sft",
        "filter",
        "grpo",
        "eval",
        "score",
        "report",
        "compare",
    ),
    *(
        "pipeline",
        "status",
        "cancel",
        "bench-eval",
        "bench-train",
        "bench-data",
        "demo",
        "demo-base",
    ),
    *("test", "test-unit", "test-slurm", "smoke", "lint", "format", "typecheck"),
)
DOCUMENTS = ("README.md", "PAPER.md", "launch/README.md", ".ci/run")
SCORE_VARIABLES = ("PREDICTIONS=predictions.jsonl", "OUT=scores", "RUNS=first second")
REPORT_VARIABLES = ("RUN=runs/x/eval/rl",)

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(root: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run make as from a fresh shell, whatever make or CI these tests run under."""
    inherited = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "CONFIG", "ARGS", "HF_HUB_OFFLINE")
    clean = {name: value for name, value in os.environ.items() if name not in inherited}
    return subprocess.run(
        ["make", *args], cwd=root, env=clean | env, capture_output=True, text=True
    )


def verbs_with_help(root: Path) -> set[str]:
    text = (root / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):.*##", text, flags=re.MULTILINE))


def test_every_verb_has_a_line_of_help_and_no_other_does(root):
    assert verbs_with_help(root) == set(VERBS)


def test_help_is_the_default_and_lists_every_verb(root):
    listed = make(root).stdout
    assert [v for v in VERBS if not re.search(rf"^make {v}\s+\S", listed, re.MULTILINE)] == []


@pytest.mark.parametrize("verb", VERBS)
def test_verb_expands(root, verb):
    result = make(root, "-n", verb, *SCORE_VARIABLES, *REPORT_VARIABLES)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


@pytest.mark.parametrize("verb", [v for v in VERBS if v not in ("help", "setup")])
def test_verb_makes_the_environment_first(root, verb):
    printed = make(root, "-n", verb, *SCORE_VARIABLES, *REPORT_VARIABLES).stdout
    assert printed.startswith("launch/setup.sh\n")


@pytest.mark.parametrize("verb", ["sft", "filter", "grpo", "eval"])
def test_stage_takes_configuration_and_further_options(root, verb):
    options = ("CONFIG=demo", "MODEL=m/x", "DATA=d/x", "ARGS=--learning_rate 5e-4")
    command = make(root, "-n", verb, *options).stdout
    assert f"recipes/configs/demo/{verb}.yaml" in command
    assert "--model_name_or_path m/x --dataset_name d/x --learning_rate 5e-4" in command


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("demo", "-m data_prep demo --output_dir data/demo --seed 1"),
        ("fake_hr1_7b", "-m data_prep all --config recipes/configs/fake_hr1_7b/data.yaml --seed 1"),
    ],
)
def test_data_follows_the_configuration(root, config, expected):
    assert expected in make(root, "-n", "data", f"CONFIG={config}", "ARGS=--seed 1").stdout


@pytest.mark.parametrize(
    ("n_gpus", "expected"),
    [
        ("0", "accelerate/cpu.yaml "),
        ("1", "accelerate/single_gpu.yaml "),
        ("4", "accelerate/multi_gpu.yaml --num_processes 4 "),
    ],
)
def test_accelerate_file_follows_the_number_of_gpus(root, n_gpus, expected):
    assert expected in make(root, "-n", "sft", f"N_GPUS={n_gpus}").stdout


@pytest.mark.parametrize(
    ("config", "env", "expected"),
    [
        ("demo", {}, "1"),
        ("smoke", {}, "1"),
        ("paper", {}, ""),
        ("demo", {"HF_HUB_OFFLINE": "0"}, "0"),
    ],
)
def test_hub_is_off_for_demo_and_smoke_unless_told_otherwise(root, config, env, expected):
    target = '--eval=show: ; @echo "[$$HF_HUB_OFFLINE]"'
    shown = make(root, f"CONFIG={config}", target, "show", **env).stdout
    assert shown.strip() == f"[{expected}]"


def test_score_without_its_variables_says_what_to_give(root):
    result = make(root, "score", "PREDICTIONS=", "OUT=")
    assert result.returncode != 0
    assert "PREDICTIONS=<file.jsonl> OUT=<folder>" in result.stderr


def test_report_puts_other_runs_beside_its_own(root):
    command = make(root, "-n", "report", "RUN=a", "RUNS=b c").stdout
    assert "-m recipes.report a b c" in command


def test_report_without_a_run_says_what_to_give(root):
    result = make(root, "report", "RUN=")
    assert result.returncode != 0
    assert "make report RUN=<evaluation folder>" in result.stderr


def test_failure_of_a_command_is_a_failure_of_make(root, tmp_path):
    if not (root / ".venv" / ".installed").is_file():
        pytest.skip("make would begin with an installation")
    missing = f"PREDICTIONS={tmp_path}/none.jsonl"
    result = make(root, "score", missing, f"OUT={tmp_path}/out")
    assert result.returncode != 0
    assert "error:" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_commands_in_documents_exist(root, document):
    path = root / document
    if not path.is_file():
        pytest.skip(f"{document} is not written yet")
    text = path.read_text(encoding="utf-8")
    # In prose only between backticks: "make" is a word, too.
    commands = re.findall(
        r"(?:`|^\s*(?:\$ |step )?)make ([a-z][a-z-]*)\b", text, flags=re.MULTILINE
    )
    assert set(commands) <= set(VERBS)
    assert commands or document == "PAPER.md"
