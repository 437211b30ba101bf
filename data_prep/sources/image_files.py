"""Find the image files below a folder, in an order that is the same on every machine."""

import os
from collections.abc import Iterator
from pathlib import Path

from data_prep.items import Dropped
from data_prep.sources.paths import NOT_AN_IMAGE, has_image_suffix
from rewards.errors import UserError


def check_folder(root: Path, what: str) -> None:
    """Raise a ``UserError`` unless ``root`` is a folder that can be listed."""
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise UserError(
            f"{what}: expected a folder at {root}, found {found}; name its root folder."
        )
    try:
        with os.scandir(root):
            pass
    except PermissionError as error:
        raise UserError(f"{what}: {root} cannot be read ({error.strerror}).") from error


def folders_in(root: Path) -> str:
    """Return the names of the first few folders in ``root``, for an error message."""
    names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "") if names else "no folders"


def walk_images(root: Path, prefix: str) -> Iterator[str | Dropped]:
    """Yield the path of every image file below ``root``, relative to it and with ``/``.

    Links to folders are followed, but never back to a folder that is being walked. A file that is
    no image, and a folder that cannot be read, is yielded as ``Dropped``.

    Args:
        root: A folder.
        prefix: Put before the relative path to make the id of what is dropped.
    """
    yield from _walk(str(root), "", prefix, ())


def _walk(
    folder: str, relative: str, prefix: str, above: tuple[tuple[int, int], ...]
) -> Iterator[str | Dropped]:
    try:
        status = os.stat(folder)
        with os.scandir(folder) as entries:
            listing = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield _dropped(relative, prefix, f"folder cannot be read ({error.strerror})")
        return
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        yield _dropped(relative, prefix, "link back to a folder above it")
        return
    for entry in listing:
        path = f"{relative}/{entry.name}" if relative else entry.name
        if entry.is_dir():
            yield from _walk(entry.path, path, prefix, (*above, identity))
        elif reason := _why_no_image(entry, path):
            yield _dropped(path, prefix, reason)
        else:
            yield path


def _why_no_image(entry: os.DirEntry[str], path: str) -> str | None:
    """Return why the file is left out; None if it may be an image."""
    if not entry.is_file():
        return "broken link" if entry.is_symlink() else "not a regular file"
    if entry.name.startswith("."):
        return "hidden file"  # "._x.jpg" of macOS archives, for one
    if not has_image_suffix(entry.name):
        return NOT_AN_IMAGE
    if not path.isascii() and path.encode("utf-8", "replace") != os.fsencode(path):
        return "file name is not UTF-8"  # no Parquet file could hold it
    return None


def _dropped(path: str, prefix: str, reason: str) -> Dropped:
    readable = os.fsencode(path).decode("utf-8", "backslashreplace")
    return Dropped(f"{prefix}/{readable}" if readable else prefix, readable, reason)
