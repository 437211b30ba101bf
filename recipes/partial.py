"""A JSONL file that grows by whole chunks, so that a killed job goes on where it was."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def read_partial(path: Path, *, cut: bool = True) -> list[dict[str, Any]]:
    """Return the records of ``path`` up to a line that is not whole, which a kill leaves.

    Args:
        path: The file; none is an empty one.
        cut: Cut that line off the file, so that it can be appended to. False where another process
            may be writing to it.
    """
    if not path.is_file():
        return []
    records: list[dict[str, Any]] = []
    end = 0
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line) if line.endswith(b"\n") else None
            except json.JSONDecodeError:
                record = None
            if record is None:
                break
            records.append(record)
            end += len(line)
    if cut and end < path.stat().st_size:
        os.truncate(path, end)
    return records


def append_chunk(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Append ``records`` and make sure that they are on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        file.flush()
        os.fsync(file.fileno())
