"""Small trees in the layouts of published data sets, with invented pixels and texts."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data_prep.items import Dropped, Item
from tests.data_prep.trees import pixels, save

Entries = Iterable[Item | Dropped]


def write_images(root: Path, *paths: str) -> Path:
    """Write an image at each path below ``root``, no two alike."""
    for seed, path in enumerate(paths):
        save(root / path, pixels(seed))
    return root


def write_jsonl(file: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def items(entries: Entries) -> dict[str, Item]:
    """Return what is kept by id; an id given twice fails."""
    kept = [entry for entry in entries if isinstance(entry, Item)]
    by_id = {item.id: item for item in kept}
    assert len(by_id) == len(kept)
    return by_id


def labels(entries: Entries) -> dict[str, str]:
    return {name: item.label for name, item in items(entries).items()}


def reasons(entries: Entries) -> dict[str, str]:
    """Return why entries are left out, by what they named."""
    return {entry.path: entry.reason for entry in entries if isinstance(entry, Dropped)}
