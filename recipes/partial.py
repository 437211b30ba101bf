"""A JSONL file that grows by whole chunks, so that a killed job goes on where it was."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def read_partial(path: Path, records_per_row: int = 1) -> list[dict[str, Any]]:
    """Return the records of ``path``; what a kill left of a last row is cut off the file."""
    if not path.is_file():
        return []
    records: list[dict[str, Any]] = []
    ends = [0]
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line) if line.endswith(b"\n") else None
            except json.JSONDecodeError:
                record = None
            if record is None:
                break
            records.append(record)
            ends.append(ends[-1] + len(line))
    n_whole = len(records) // records_per_row * records_per_row
    if ends[n_whole] < path.stat().st_size:
        os.truncate(path, ends[n_whole])
    return records[:n_whole]


def append_chunk(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Append ``records`` and make sure that they are on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        file.flush()
        os.fsync(file.fileno())
