"""Data sets on a node's own disk."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset

from data_prep.loading import load_rows
from data_prep.staging import VARIABLE, staged
from data_prep.writer import write_datasets
from rewards.errors import UserError
from tests.recipes.conftest import small_rows


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Dataset], Path]:
    def write_rows(rows: Dataset) -> Path:
        write_datasets({"train": rows}, tmp_path / "rows", title="r", description="r", command="t")
        return tmp_path / "rows"

    return write_rows


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "scratch"))
    return tmp_path / "scratch"


def test_without_the_setting_nothing_is_copied(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    folder = write(small_rows(4))
    assert staged(folder) == folder


def test_rows_are_read_from_the_copy(write, scratch: Path) -> None:
    folder = write(small_rows(4))
    rows = load_rows(folder, "train")
    assert len(rows) == 4
    (copy,) = scratch.glob("rows-*")
    assert staged(folder) == copy
    assert [path.name for path in scratch.iterdir() if "building" in path.name] == []


def test_a_data_set_that_is_built_again_is_copied_again(write, scratch: Path) -> None:
    first = staged(write(small_rows(4)))
    assert staged(write(small_rows(8))) != first
    assert len(load_rows(write(small_rows(8)), "train")) == 8


def test_a_copy_that_was_killed_is_made_again(write, scratch: Path) -> None:
    folder = write(small_rows(4))
    copy = Path(staged(folder))
    building = copy.with_name(f".{copy.name}.building")
    copy.rename(building)
    next((building / "data").iterdir()).write_bytes(b"half")
    assert len(load_rows(folder, "train")) == 4


def test_processes_that_start_together_copy_once(write, scratch: Path) -> None:
    command = [sys.executable, "-m", "data_prep.staging", str(write(small_rows(4)))]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    printed = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert sum("copied" in text for text in printed) == 1


def test_a_full_disk_is_told(write, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(small_rows(4))
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("data_prep.staging.shutil.disk_usage", lambda path: usage)
    with pytest.raises(UserError, match="Make room"):
        staged(folder)


def test_a_hub_id_is_left_to_the_hub(scratch: Path) -> None:
    assert staged("someone/rows") == "someone/rows"
