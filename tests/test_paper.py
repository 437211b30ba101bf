"""Every path, function and test that PAPER.md names is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TARGETS = sorted(
    set(
        re.findall(
            r"`((?:recipes|rewards|data_prep|tests|launch)/[^`\s]+)`",
            (ROOT / "PAPER.md").read_text(),
        )
    )
)


def test_paper_md_names_enough():
    assert len(TARGETS) >= 15


@pytest.mark.parametrize("target", TARGETS)
def test_target_exists(target):
    path, _, name = target.partition("::")
    assert (ROOT / path).is_file(), f"PAPER.md names {path}, which is not there"
    if name:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        names = {
            node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        assert name in names, f"PAPER.md names {name}, which {path} does not define"
