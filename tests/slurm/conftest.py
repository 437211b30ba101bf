"""One real Slurm cluster for all tests of this folder; a project whose stages are stubs."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, missing_programs

ROOT = Path(__file__).parents[2]
# What a production job would get from GPUs; here the processes compute on the CPU.
CPU_SETTINGS = {
    "SITE_GPUS_PER_NODE": "1",
    "SITE_CPUS_PER_GPU": "1",
    "SITE_TIME": "00:30:00",
    "ACCELERATE_USE_CPU": "true",
    "HF_HUB_OFFLINE": "1",
    "WANDB_MODE": "offline",
    "OMP_NUM_THREADS": "1",
}

STUB_PYTHON = r"""#!/usr/bin/env bash
# A stage that does what {script} says; everything else is the real Python.
if [[ $1 == -m && ($2 == recipes.* || $2 == data_prep) ]]; then
    shift
    exec bash {script} "$@"
fi
exec {python} "$@"
"""
STUB_ACCELERATE = r"""#!/usr/bin/env bash
while [[ $1 != -m ]]; do
    [[ $1 == --machine_rank ]] && export RANK_OF_NODE=$2
    [[ $1 == --num_processes ]] && export N_PROCESSES=$2
    [[ $1 == --main_process_ip ]] && export HEAD_NODE=$2
    shift
done
shift
# bash cannot trap a signal that was ignored when it started; Python, the real trainer, can.
exec env --default-signal=USR1 bash {script} "$@"
"""


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Cluster]:
    """A cluster of two nodes with two fake GPUs each."""
    missing = missing_programs()
    if missing and os.environ.get("REQUIRE_SLURM"):
        pytest.fail(f"REQUIRE_SLURM is set, but {missing} is missing.")
    if missing:
        pytest.skip(f"a Slurm cluster needs {missing}; `make test-slurm` installs it as root.")
    # Short: a Unix socket's path may have 108 bytes.
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="slurm", dir="/tmp")))
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()
        shutil.rmtree(cluster.folder, ignore_errors=True)


@pytest.fixture
def cluster(running_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, with an empty queue before and after the test."""
    running_cluster.clear()
    yield running_cluster
    running_cluster.clear()


def wait_for(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait until ``condition`` holds; fails when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@dataclass
class Project:
    """A checkout in which each stage is a few lines of bash."""

    root: Path
    cluster: Cluster

    def make(self, *arguments: str, **env: str) -> str:
        """Run make on the login node and return what it printed."""
        done = self.cluster.run(["make", *arguments], cwd=self.root, env=CPU_SETTINGS | env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def jobs(self, printed: str) -> dict[str, str]:
        """Return the number of each job that ``make`` said it submitted."""
        lines = [line.split(": job ") for line in printed.splitlines() if ": job " in line]
        return {part: number.split()[0] for part, number in lines}

    def log(self, run: str, part: str) -> str:
        """Return what the jobs of a part printed."""
        files = sorted((self.root / run / "logs").glob(f"{part}-*.out"))
        # Two nodes write into one file, and may cut each other's characters.
        return "".join(file.read_text(errors="replace") for file in files)


@pytest.fixture
def make_project(cluster: Cluster, tmp_path: Path) -> Callable[[str], Project]:
    """Return a function that makes a project whose stages run a given script."""

    def make(script: str) -> Project:
        root = tmp_path / "project"
        (root / ".venv" / "bin").mkdir(parents=True)
        for name in ("launch", "recipes", "rewards"):
            shutil.copytree(ROOT / name, root / name)
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, root)
        (root / "data_prep").mkdir()
        stub = root / "stage.sh"
        stub.write_text(script)
        python = ROOT / ".venv" / "bin" / "python"
        for name, text in (("python", STUB_PYTHON), ("accelerate", STUB_ACCELERATE)):
            file = root / ".venv" / "bin" / name
            file.write_text(text.format(script=stub, python=python))
            file.chmod(0o755)
        # The set-up takes an environment marked so as it is.
        (root / ".venv" / ".installed").write_text("manual cpu\n")
        return Project(root, cluster)

    return make


@pytest.fixture(scope="session")
def project(
    running_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A checkout with the real environment; its data set is made by a job."""
    root = tmp_path_factory.mktemp("training") / "project"
    root.mkdir()
    for name in ("launch", "recipes", "rewards", "data_prep", "tests"):
        shutil.copytree(ROOT / name, root / name)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root)
    (root / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (root / ".venv" / name).symlink_to((ROOT / ".venv" / name).resolve())
    (root / ".venv" / ".installed").write_text("manual cpu\n")
    project = Project(root, running_cluster)
    running_cluster.clear()
    job = project.jobs(project.make("data", "CONFIG=smoke", "LAUNCH=slurm", "RUN=runs/data"))
    assert running_cluster.wait(job["data"], 120) == "COMPLETED", project.log("runs/data", "data")
    yield project
    running_cluster.clear()
