"""The whole pipeline on a real Slurm, with vLLM on the CPU in every process that samples."""

import json
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from launch.site_settings import read_site
from launch.stages import Stage, make_stage
from launch.submit import Submission
from tests.slurm.conftest import CPU_SETTINGS, Project, wait_for

pytestmark = pytest.mark.slurm
GLOO = {"ddp_backend": "gloo", "ddp_find_unused_parameters": "false"}
# Two nodes of one process; a group of 8 completions on each at every step of GRPO.
SMALLER = {
    "sft": {**GLOO, "max_steps": "30", "per_device_train_batch_size": "8"},
    "filter": {"max_rows": "24", "chunk_rows": "2", "measure": "own"},
    "grpo": {**GLOO, "max_steps": "4", "per_device_train_batch_size": "8"},
    "eval": {"max_rows": "6", "n_bootstrap": "50", "report": "false"},
}
CHAIN = ("pipeline", "CONFIG=smoke", "NODES=2", "RUN=runs/chain")


def overwrite(yaml_file: Path, values: dict[str, str]) -> None:
    """Set top-level keys of a configuration."""
    text = yaml_file.read_text()
    for key, value in values.items():
        text = re.sub(rf"(?m)^{key}:.*\n", "", text) + f"\n{key}: {value}"
    yaml_file.write_text(text + "\n")


def processes(*words: str) -> list[int]:
    """Return the processes whose command line has every word."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if set(words) <= set(line) and "python" in line[0]:
                found.append(int(folder.name))
    return found


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def steps(folder: Path, key: str) -> list[float]:
    """Return a value of every training step."""
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [record[key] for record in map(json.loads, lines) if "reward" in record]


@pytest.fixture(scope="module")
def chain(project: Project) -> dict[str, str]:
    """The chain's jobs, all ended; a shard of the filter was killed on the way."""
    for stage, values in SMALLER.items():
        overwrite(project.root / f"recipes/configs/smoke/{stage}.yaml", values)
    scratch = project.root / "scratch"
    printed = project.make(*CHAIN, SITE_STAGE_DATA="1", SITE_SCRATCH=str(scratch))
    jobs = project.jobs(printed)
    shards = project.root / "runs/chain/filter/shards"
    wait_for(lambda: any(shards.glob("00001-of-*.jsonl")), timeout_s=240)
    for process in processes("recipes.filter", "runs/chain/filter", "--shard_index", "1"):
        os.kill(process, signal.SIGKILL)
    for part, job in jobs.items():
        state = project.cluster.wait(job, 240)
        assert state == "COMPLETED", (
            part,
            project.make("status", "CONFIG=smoke", "RUN=runs/chain"),
        )
    return jobs


def test_the_chain_ends_with_metrics_and_is_not_run_again(
    project: Project, chain: dict[str, str]
) -> None:
    run = project.root / "runs/chain"
    assert list(chain) == ["sft", "filter", "filter-merge", "grpo", "eval", "eval-merge"]
    metrics = read_json(run / "eval/rl/metrics.json")
    assert {bank: metrics[bank]["n"] for bank in ("simple", "hard")} == {"simple": 6, "hard": 6}
    assert read_json(run / "grpo/summary.json")["global_step"] == 4
    assert project.make(*CHAIN).count("passed over") == 5
    status = project.make("status", "CONFIG=smoke", "RUN=runs/chain")
    assert re.search(r"(?m)^grpo +whole +4/4 ", status), status


def test_a_killed_shard_of_the_filter_is_run_again_alone(
    project: Project, chain: dict[str, str]
) -> None:
    array = chain["filter"]
    restarts = [int(project.cluster.job(f"{array}_{task}")["Restarts"]) for task in (0, 1)]
    assert restarts == [0, 1]
    rates = (project.root / "runs/chain/filter/pass_rates.jsonl").read_text().splitlines()
    assert len(rates) == 24


def test_the_data_set_was_copied_to_the_node_s_disk_once(
    project: Project, chain: dict[str, str]
) -> None:
    copies = project.root / "scratch/fake-hr1-data"
    assert [path.name[:4] for path in copies.glob("sft-*")] == ["sft-"]  # the lab's nodes share it
    for part in ("sft", "filter", "grpo"):
        assert "copied to" in project.log("runs/chain", part)


def test_preempted_grpo_ends_where_an_undisturbed_one_does(
    project: Project, chain: dict[str, str]
) -> None:
    words = ["grpo", "CONFIG=smoke", "LAUNCH=slurm", "NODES=2", "RUN=runs/cut"]
    before = "MODEL=runs/chain/sft", "DATA=runs/chain/filter/kept"
    job = project.jobs(project.make(*words, *before))["grpo"]
    cut, whole = project.root / "runs/cut/grpo", project.root / "runs/chain/grpo"
    log = cut / "log.jsonl"
    wait_for(lambda: log.exists() and '"reward"' in log.read_text(), timeout_s=240)
    high = ["sbatch", "--parsable", "-p", "high", "-N2", "--exclusive", "--wrap", "true"]
    project.cluster.run(high, cwd=project.root)
    wait_for((cut / "interrupted.json").exists, timeout_s=60)
    wandb_run = read_json(cut / "run.json")["wandb_run_id"]
    assert 1 <= read_json(cut / "interrupted.json")["step"] < 4
    assert project.cluster.wait(job, 240) == "COMPLETED", project.log("runs/cut", "grpo")
    assert int(project.cluster.job(job)["Restarts"]) == 1
    assert read_json(cut / "run.json")["wandb_run_id"] == wandb_run
    for key in ("reward", "loss", "kl", "completions/mean_length"):
        assert steps(cut, key) == pytest.approx(steps(whole, key), abs=1e-5), key
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (cut, whole))
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-4, atol=1e-6)


@pytest.fixture
def submit_fixed(
    project: Project, chain: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], tuple[str, Path]]:
    """Return a function that submits GRPO with given completions to some nodes."""
    monkeypatch.chdir(project.root)
    for key, value in CPU_SETTINGS.items():
        monkeypatch.setenv(key, value)

    def submit(nodes: int) -> tuple[str, Path]:
        run = Path(f"runs/fixed-{nodes}")
        words = f"--use_vllm false --per_device_train_batch_size {16 // nodes} --max_steps 3"
        words += " --model_name_or_path runs/chain/sft --dataset_name runs/chain/filter/kept"
        stage: Stage = make_stage("grpo", "smoke", run, tuple(words.split()))
        stage = replace(stage, command=("tests.slurm.fixed_completions", *stage.command[1:]))
        (job,) = Submission("smoke", run, nodes, "multi_gpu", read_site()).jobs(stage)
        (run / "logs").mkdir(parents=True)
        done = project.cluster.run(job.sbatch(), cwd=project.root, env=CPU_SETTINGS)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip(), run / "grpo"

    return submit


def test_grpo_on_two_nodes_has_the_loss_of_one_node(
    project: Project, submit_fixed: Callable[[int], tuple[str, Path]]
) -> None:
    folders = []
    for nodes in (2, 1):
        job, folder = submit_fixed(nodes)
        log = project.log(str(folder.parent), "grpo")
        assert project.cluster.wait(job, 240) == "COMPLETED", log
        folders.append(folder)
    two, one = folders
    assert len(steps(one, "loss")) == 3
    assert any(abs(loss) > 1e-4 for loss in steps(one, "loss"))
    for key in ("reward", "loss", "grad_norm", "kl"):
        assert steps(two, key) == pytest.approx(steps(one, key), rel=1e-3, abs=1e-6), key
