"""Every program of the repository tells its options."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("recipes", "data_prep", "rewards", "launch")


def programs() -> list[str]:
    """Return the modules that run as a program."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    found = [path for path in paths if "\n    run_cli(main)\n" in path.read_text(encoding="utf-8")]
    return sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found)


def test_programs_are_found() -> None:
    assert {"recipes.sft", "recipes.eval", "rewards.compare", "launch.submit"} <= set(programs())


@pytest.mark.parametrize("name", programs())
def test_help(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    program = importlib.import_module(name)
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert "usage: " in printed
    assert "--help" in printed
