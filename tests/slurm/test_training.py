"""SFT on a real Slurm: the demo model, TRL's trainer, two nodes in one gloo group."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.slurm.conftest import Project, wait_for

pytestmark = pytest.mark.slurm
STEPS = "--max_steps 10 --save_steps 5 --warmup_steps 1 --logging_steps 1 --report_to none"
# What differs between one node and two: who computes which rows.
BATCH = {1: "--per_device_train_batch_size 8", 2: "--per_device_train_batch_size 4"}
GLOO = "--ddp_backend gloo --ddp_find_unused_parameters false"


def submit_sft(project: Project, run: str, nodes: int) -> str:
    """Submit SFT at a few steps and return its job."""
    printed = project.make(
        *("sft", "CONFIG=smoke", "LAUNCH=slurm", f"NODES={nodes}", f"RUN=runs/{run}"),
        f"ARGS={STEPS} {BATCH[nodes]} {GLOO}",
    )
    return project.jobs(printed)["sft"]


def losses(project: Project, run: str) -> list[float]:
    """Return the loss of each step."""
    lines = (project.root / f"runs/{run}/sft/log.jsonl").read_text().splitlines()
    return [record["loss"] for record in map(json.loads, lines) if "loss" in record]


def weights(project: Project, run: str) -> dict[str, torch.Tensor]:
    return load_file(project.root / f"runs/{run}/sft/model.safetensors")


@pytest.fixture(scope="module")
def two_nodes(project: Project) -> str:
    """SFT on two nodes, undisturbed."""
    job = submit_sft(project, "two", 2)
    assert project.cluster.wait(job, 400) == "COMPLETED", project.log("runs/two", "sft")
    return "two"


def test_two_nodes_are_one_run_with_the_loss_of_one_node(project: Project, two_nodes: str) -> None:
    job = submit_sft(project, "one", 1)
    assert project.cluster.wait(job, 400) == "COMPLETED", project.log("runs/one", "sft")
    assert len(losses(project, "one")) == 10
    assert losses(project, two_nodes) == pytest.approx(losses(project, "one"), rel=1e-3)


def test_an_interrupted_run_ends_where_an_undisturbed_one_does(
    project: Project, two_nodes: str
) -> None:
    job = submit_sft(project, "cut", 2)
    log: Path = project.root / "runs/cut/sft/log.jsonl"
    wait_for(lambda: log.exists() and len(log.read_text().splitlines()) >= 3, timeout_s=300)
    project.cluster.run(["scancel", "--signal=USR1", "--batch", job], cwd=project.root)
    assert project.cluster.wait(job, 500) == "COMPLETED", project.log("runs/cut", "sft")
    assert int(project.cluster.job(job)["Restarts"]) == 1
    assert losses(project, "cut") == pytest.approx(losses(project, two_nodes), rel=1e-5)
    ours, theirs = weights(project, "cut"), weights(project, two_nodes)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-4, atol=1e-6)
