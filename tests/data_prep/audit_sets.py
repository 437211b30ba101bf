"""Small data sets for the tests of the audit."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from PIL import Image, ImageFilter

from data_prep.embedded import decode, read_images
from data_prep.prompts import load_prompts
from data_prep.rows import ROW_FEATURES, make_row
from data_prep.writer import write_datasets


class Entry(NamedTuple):
    """One row to be: its encoded image and what differs between rows."""

    id: str
    data: bytes
    label: str
    source: str = "a"
    bank: str = "simple"


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(seed: int, width: int = 96, height: int = 80) -> Image.Image:
    """Return a picture with structure at every scale that no other seed gives."""
    rng = np.random.default_rng(seed)
    layers = np.zeros((height, width, 3))
    for side in (4, 8, 16, 32):
        noise = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        layers += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), float)
    return Image.fromarray((layers / 4).astype(np.uint8)).filter(ImageFilter.SHARPEN)


def real_photographs(n: int) -> list[Image.Image]:
    """Return real crops of the embedded test split."""
    return [decode(row) for row in read_images("test") if row["label"] == "real"][:n]


def write_set(folder: Path, splits: Mapping[str, Iterable[Entry]], **changes: Any) -> Path:
    """Write a data set folder as the builds do."""
    prompts = load_prompts()
    datasets = {}
    for split, entries in splits.items():
        rows = [
            make_row(
                row_id=entry.id,
                image={"bytes": entry.data, "path": None},
                label=entry.label,
                question_bank=entry.bank,
                reasoning="Edges are soft.",
                source=entry.source,
                generator="camera" if entry.label == "real" else "unknown",
                category="unknown",
                prompts=prompts,
                seed=0,
            )
            for entry in entries
        ]
        datasets[split] = Dataset.from_list(rows, features=ROW_FEATURES)
    write_datasets(datasets, folder, title="t", description="d", command="c", **changes)
    return folder


def jpegs_and_pngs(n: int, source: str = "a", seed: int = 0) -> list[Entry]:
    """Return the shortcut of GenImage: photographs are JPEG of free sizes, fakes PNG of one."""
    rng = np.random.default_rng(seed)
    entries = []
    for i in range(n):
        width, height = (int(v) for v in rng.integers(60, 140, 2))
        free = picture(seed * 10_000 + i, width, height)
        fixed = picture(seed * 10_000 + n + i, 96, 96)
        entries.append(Entry(f"real-{source}-{i}", encoded(free, quality=92), "real", source))
        entries.append(Entry(f"fake-{source}-{i}", encoded(fixed, "PNG"), "fake", source))
    return entries


def alike_jpegs(n: int, source: str = "a", seed: int = 0) -> list[Entry]:
    """Return real and fake images that only their label tells apart."""
    return [
        Entry(f"{label}-{source}-{i}", encoded(picture(seed * 10_000 + 2 * i + k)), label, source)
        for i in range(n)
        for k, label in enumerate(("real", "fake"))
    ]
