"""GenImage: a folder of generated images (`ai`) and ImageNet photographs (`nature`) a generator.

    ROOT/stable_diffusion_v_1_4/imagenet_ai_0419_sdv4/{train,val}/{ai,nature}/*
    ROOT/imagenet_midjourney/{train,val}/{ai,nature}/*       either folder level may be missing

The generator is told by either level. The published tests are on `val`.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from data_prep.items import Dropped, Item
from data_prep.sources.paths import NOT_AN_IMAGE, generator_in, has_image_suffix
from rewards.errors import UserError

LABELS = {"ai": "fake", "nature": "real"}
SPLIT_FOLDERS = {"train": "train", "test": "val"}
MAX_DEPTH = 2  # folders between the root and `train` or `val`


def read_genimage(root: Path, split: str) -> Iterator[Item | Dropped]:
    """Yield every image of a split; an image's order and id tell nothing of the listing.

    Args:
        root: Holds the generators' folders, or is one of them.
        split: "train", or "test" for GenImage's `val`.

    Raises:
        UserError: No generator's folder is found.
    """
    split_folder = SPLIT_FOLDERS[split]
    found = list(_find_splits(root, split_folder, MAX_DEPTH))
    if not found:
        raise UserError(
            f"{root} is not GenImage's root: there is no <generator>/{split_folder}/ai and nature "
            f"down to {MAX_DEPTH} folders below it."
        )
    for folder in sorted(found):
        generator = _generator(root, folder)
        for class_folder, label in LABELS.items():
            class_path = _child(folder, class_folder)
            if class_path is not None:
                prefix = f"genimage/{generator}/{split_folder}/{class_folder}"
                yield from _read_class(class_path, prefix, label, generator)


def content_class(item_id: str) -> str:
    """Return the ImageNet class in a file name: an index for `ai`, a WordNet id for `nature`.

    ``700_sdv5_00100.png``: "700"; ``VQDM_1000_200_08_872_vqdm_00109.png``: "872";
    ``n02123045_10001.JPEG``: "n02123045"; else "". The two notations do not meet.
    """
    name = item_id.rsplit("/", 1)[-1].lower()
    match = re.match(r"(n\d{8})_", name) or re.search(
        r"(?:^|_)(\d{1,4})_[a-z][a-z0-9]*_\d+\.", name
    )
    return match[1] if match else ""


def _read_class(folder: Path, prefix: str, label: str, generator: str) -> Iterator[Item | Dropped]:
    for entry in os.scandir(folder):
        item_id = f"{prefix}/{entry.name}"
        if entry.name.startswith("."):
            continue  # what file managers leave
        if entry.is_dir():
            yield from _read_class(Path(entry.path), item_id, label, generator)
        elif not has_image_suffix(entry.name):
            yield Dropped(item_id, entry.path, NOT_AN_IMAGE)
        else:
            yield Item(
                id=item_id,
                path=Path(entry.path),
                label=label,
                source="genimage",
                generator=generator if label == "fake" else "camera",
                category="unknown",
            )


def _find_splits(folder: Path, split_folder: str, depth: int) -> Iterator[Path]:
    """Yield the folders named ``split_folder`` that hold `ai` or `nature`."""
    candidate = _child(folder, split_folder)
    if candidate is not None and any(_child(candidate, name) for name in LABELS):
        yield candidate
    elif depth > 0 and folder.is_dir():
        for entry in os.scandir(folder):
            if entry.is_dir():
                yield from _find_splits(Path(entry.path), split_folder, depth - 1)


def _child(folder: Path, name: str) -> Path | None:
    path = folder / name
    return path if path.is_dir() else None


def _generator(root: Path, split_path: Path) -> str:
    """Return the generator that the innermost telling folder names, else that folder's name."""
    levels = split_path.parent.relative_to(root).parts or (root.name,)
    known = next(filter(None, map(generator_in, reversed(levels))), None)
    return known or levels[-1].lower()
