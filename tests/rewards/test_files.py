import os

import pytest

from rewards.files import write_json, write_text


def test_files_are_written_whole_and_nothing_is_left_beside_them(tmp_path):
    path = tmp_path / "a" / "b.json"
    write_json(path, {"x": 1})
    write_json(path, {"x": 2})
    assert path.read_text() == '{\n  "x": 2\n}\n'
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("cause", ["rename", "encoding"])
def test_a_failed_write_leaves_the_earlier_file(tmp_path, monkeypatch, cause):
    path = tmp_path / "b.txt"
    write_text(path, "old")
    if cause == "rename":

        def fail(*_):
            raise OSError("no space left")

        monkeypatch.setattr(os, "replace", fail)
    with pytest.raises((OSError, UnicodeEncodeError)):
        write_text(path, "new" if cause == "rename" else "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
