"""Any tree of images whose folders name the class: ``--folder ROOT``.

The class folder may stand anywhere on the path, in any case, with or without a number before it:
``real/x.jpg``, ``0_real/x.jpg``, ``progan/car/1_fake/x.png``, ``Midjourney/val/ai/x.png``. Folders
above the class folder name the source (and the generator of its fakes), as benchmarks of several
generators are laid out; all other folders make the category.
"""

import functools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from data_prep.items import Dropped, Item
from data_prep.sources.image_files import check_folder, folders_in, walk_images
from rewards.errors import UserError

# Class folders in lower case, without a number before them and with "_" for "-" and " ".
CLASS_FOLDERS: Mapping[str, str] = {
    "real": "real",
    "nature": "real",  # GenImage
    "authentic": "real",
    "fake": "fake",
    "ai": "fake",  # GenImage
    "ai_generated": "fake",
    "generated": "fake",
    "synthetic": "fake",
}
SPLIT_FOLDERS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})


class _Told(NamedTuple):
    """The fields of an ``Item`` that its folders tell, in the order of the fields."""

    label: str
    source: str
    generator: str
    category: str


def read_folder(
    root: Path, split: str, *, label_map: Mapping[str, str] | None = None
) -> Iterator[Item | Dropped]:
    """Yield every image below ``root`` with the label of the class folder on its path.

    Ids begin with "folder/" and the root's own name, which is the source where no folder is.

    Args:
        root: The tree. All of it is read, whatever ``split``: name the part that is meant.
        split: The split to build; unused.
        label_map: Names of class folders in lower case, compared whole, to labels; takes the place
            of ``CLASS_FOLDERS``.

    Raises:
        UserError: ``root`` is no readable folder, or no image below it lies in a class folder.
    """
    name = Path(os.path.abspath(root)).name
    yield from read_class_folders(root, f"folder/{name}", name, label_map)


def read_class_folders(
    root: Path, prefix: str, source: str, label_map: Mapping[str, str] | None
) -> Iterator[Item | Dropped]:
    """Yield what ``read_folder`` does, with ids that begin with ``prefix``."""
    check_folder(root, "image folder")
    labelled = False

    @functools.lru_cache(maxsize=1024)  # thousands of files lie in one folder
    def told(folder: str) -> _Told | str:
        return _what_folders_tell(folder, source, label_map)

    for path in walk_images(root, prefix):
        if isinstance(path, Dropped):
            yield path
            continue
        what = told(path.rpartition("/")[0])
        if isinstance(what, str):
            yield Dropped(f"{prefix}/{path}", path, what)
            continue
        labelled = True
        yield Item(f"{prefix}/{path}", root / path, *what)
    if not labelled:
        names = label_map if label_map is not None else CLASS_FOLDERS
        raise UserError(
            f"image folder {root}: no image lies in a folder that names its class; found "
            f"{folders_in(root)}, expected folders named {', '.join(names)}. Name yours with "
            "--label_map, for instance: --label_map camera=real midjourney=fake."
        )


def _what_folders_tell(path: str, source: str, label_map: Mapping[str, str] | None) -> _Told | str:
    """Return what the folders on a path tell of an image, or why they tell no label."""
    folders = path.split("/") if path else []
    labels = [folder_label(folder, label_map) for folder in folders]
    distinct = {label for label in labels if label}
    if len(distinct) != 1:
        return "two class folders disagree" if distinct else "in no class folder"
    (label,) = distinct
    first = labels.index(label)
    others = [
        (index, folder)
        for index, (folder, label) in enumerate(zip(folders, labels, strict=True))
        if not label and folder.lower() not in SPLIT_FOLDERS
    ]
    outer = others[0][1] if others and others[0][0] < first else None
    inner = [folder for _, folder in others[1 if outer else 0 :]]
    return _Told(
        label=label,
        source=outer or source,
        generator="camera" if label == "real" else (outer or "unknown"),
        category="/".join(inner) or "unknown",
    )


def folder_label(folder: str, label_map: Mapping[str, str] | None = None) -> str | None:
    """Return the label that a folder's name gives; None if it names no class."""
    if label_map is not None:
        return label_map.get(folder.lower())
    return CLASS_FOLDERS.get(re.sub(r"[-\s]", "_", re.sub(r"^\d+[_-]", "", folder.lower())))
