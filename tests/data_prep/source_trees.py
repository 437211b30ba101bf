"""Small trees in the layouts of published data sets, with invented pixels and texts."""

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from data_prep.items import Dropped, Item

Entries = Iterable[Item | Dropped]


def image_bytes(shade: int = 0, kind: str = "PNG") -> bytes:
    """Return a small image file."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (shade, 64, 128)).save(buffer, format=kind)
    return buffer.getvalue()


def write_images(root: Path, *paths: str) -> Path:
    """Write an image at each path below ``root``, no two alike."""
    for shade, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        kind = "PNG" if path.lower().endswith(".png") else "JPEG"
        (root / path).write_bytes(image_bytes(shade * 20 % 256, kind))
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
