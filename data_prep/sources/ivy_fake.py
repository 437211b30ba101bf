"""Ivy-Fake (Zhang, Jiang et al., 2025): images and videos with labels and explanations.

``clean_data/<split>.jsonl`` and, unpacked from the ``.7z`` archives, the files it names. Some
images come from FakeClue and Chameleon: a model trained on those has seen them. They keep a source
that says so, or are left out.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.items import Dropped, Item
from data_prep.sources.image_files import check_folder
from data_prep.sources.paths import OUTSIDE, relative_parts
from rewards.errors import UserError
from rewards.labels import LABELS

REQUIRED_KEYS = ("label", "type", "file_path")
# Sets whose images are among Ivy-Fake's, as they are written in its paths.
LEAKING_SETS = ("fakeclue", "chameleon", "genimage")


def read_ivy_fake(
    root: Path,
    split: str,
    *,
    annotations: Path | None = None,
    drop_leaks: bool = False,
) -> Iterator[Item | Dropped]:
    """Yield the images of Ivy-Fake.

    An image of a set in ``LEAKING_SETS`` has that set as its source, for instance
    "fakeclue/chameleon"; the source of others is what ``raw_dataset`` says.

    Args:
        root: The downloaded repository with its archives unpacked.
        split: Names the file of annotations.
        annotations: A JSON Lines file to read instead of ``clean_data/<split>.jsonl``.
        drop_leaks: Leave the images of ``LEAKING_SETS`` out.

    Raises:
        UserError: No annotations, a line that is no JSON object, lacks a key, or has an unknown
            label or type, or archives that are not unpacked.
    """
    check_folder(root, "Ivy-Fake")
    file = annotations or _annotations(root, split)
    _check_unpacked(root, split)
    seen: set[str] = set()
    for entry in _entries(file):
        path, label = entry["file_path"], entry["label"]
        name = f"ivy_fake/{path}"
        if entry["type"] == "video":
            yield Dropped(name, path, "a video")
        elif (parts := relative_parts(path)) is None:
            yield Dropped(name, path, OUTSIDE)
        elif path in seen:
            yield Dropped(name, path, "listed before in the same file")
        elif drop_leaks and leaking_source(entry):
            yield Dropped(name, path, "an image of FakeClue, Chameleon or GenImage")
        else:
            seen.add(path)
            yield Item(
                id=name,
                path=root.joinpath(*parts),
                label=label,
                source=leaking_source(entry) or _text(entry.get("raw_dataset")) or "ivy_fake",
                generator="camera" if label == "real" else "unknown",
                category=_text(entry.get("category")) or "unknown",
                reasoning=re.sub(r"</?think>", "", _text(entry.get("think"))).strip(),
            )


def leaking_source(entry: dict[str, Any]) -> str | None:
    """Return which of ``LEAKING_SETS`` an image is from, outermost first; None if of none."""
    told = re.split(r"[\s/_-]", _text(entry.get("raw_dataset")).lower())
    told += entry["file_path"].lower().split("/")
    named = [name for name in LEAKING_SETS if name in told]
    return "/".join(named) or None


def _annotations(root: Path, split: str) -> Path:
    """Return the file of annotations of a split."""
    for file in (root / "clean_data" / f"{split}.jsonl", root / f"{split}.jsonl"):
        if file.is_file():
            return file
    found = [str(file.relative_to(root)) for file in sorted(root.glob("**/*.jsonl"))[:10]]
    raise UserError(
        f"Ivy-Fake: no clean_data/{split}.jsonl in {root}; found {found or 'no *.jsonl'}. Download "
        "the data set's repository, or name the file with --ivy_fake_annotations."
    )


def _check_unpacked(root: Path, split: str) -> None:
    """Raise if the split's images are there as an archive alone."""
    archives = sorted((root / "media" / "image").glob(f"image_{split}.7z*"))
    if archives and not any(entry.is_dir() for entry in (root / "media" / "image").iterdir()):
        raise UserError(
            f"Ivy-Fake: {archives[0]} is not unpacked; run `7z x {archives[0].name}` in its folder."
        )


def _entries(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the checked content of each line."""
    if not file.is_file():
        raise UserError(f"Ivy-Fake: {file} does not exist; name a file of annotations.")
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"Ivy-Fake: {file}, line {number}"
            try:
                entry = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{where} is no JSON ({error}); download it again.") from error
            _check_entry(entry, where)
            entry["label"] = entry["label"].strip().lower()
            yield entry


def _check_entry(entry: Any, where: str) -> None:
    if not isinstance(entry, dict) or any(key not in entry for key in REQUIRED_KEYS):
        found = sorted(entry) if isinstance(entry, dict) else type(entry).__name__
        raise UserError(f"{where}: found {found}, expected the keys {list(REQUIRED_KEYS)}.")
    if not isinstance(entry["file_path"], str) or not entry["file_path"]:
        raise UserError(f"{where}: file_path is {entry['file_path']!r}, expected a path.")
    label, kind = entry["label"], entry["type"]
    if not isinstance(label, str) or label.strip().lower() not in LABELS:
        raise UserError(f"{where}: unknown label {label!r}; expected one of {list(LABELS)}.")
    if kind not in ("image", "video"):
        raise UserError(f"{where}: unknown type {kind!r}; expected image or video.")


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
