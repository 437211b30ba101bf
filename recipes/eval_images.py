"""The images of an evaluation: a broken one costs itself alone; small copies for the report."""

import io
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import PIL.Image
import PIL.ImageOps
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Image, List
from tqdm import tqdm

THUMBNAIL_SIDE = 160  # pixels of the longer side at most
_BATCH = 256  # encoded images held in memory while thumbnails are made
_DECODER = Image()


class UnreadableImage(Exception):
    """An image that is gone or broken; the message is the reason."""


class EvalImage(NamedTuple):
    """One image as it is asked about.

    Attributes:
        image: Upright, RGB: what training sees of the same file.
        encoded: The file's bytes where they are a JPEG or PNG file of just these pixels, else None.
    """

    image: PIL.Image.Image
    encoded: bytes | None


def undecoded(rows: Dataset) -> Dataset:
    """Return ``rows`` with the images as stored, to be decoded one by one."""
    return rows.cast_column("images", List(Image(decode=False)))


def read_image(images: Sequence[Mapping[str, Any]] | None) -> EvalImage:
    """Decode the first of a row's stored images.

    Raises:
        UnreadableImage: There is none, its file is gone, or it cannot be decoded.
    """
    if not images or not images[0]:
        raise UnreadableImage("the row has no image")
    stored = dict(images[0])
    try:
        image = _DECODER.decode_example(stored)
        upright = image.convert("RGB")
    except FileNotFoundError as error:
        raise UnreadableImage("the image file is gone") from error
    except Exception as error:  # Pillow's readers raise whatever a broken file makes them
        raise UnreadableImage(f"the image cannot be decoded ({type(error).__name__})") from error
    # A file that had to be turned upright has lost its format here.
    unchanged = image.format in ("JPEG", "PNG") and image.mode in ("RGB", "L")
    return EvalImage(upright, stored["bytes"] if unchanged else None)


def thumbnail(images: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the first of a row's stored images as a small WebP file."""
    stored = images[0]
    source = io.BytesIO(stored["bytes"]) if stored.get("bytes") else stored["path"]
    image = PIL.Image.open(source)
    image.draft("RGB", (2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))  # decodes a JPEG at a smaller size
    image = PIL.ImageOps.exif_transpose(image).convert("RGB")
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=75)
    return buffer.getvalue()


def write_thumbnails(rows: Dataset, path: Path) -> None:
    """Write a Parquet file with ``id`` and ``webp`` of every row, whole or not at all.

    Args:
        rows: From ``undecoded``; images that can be read.
        path: File to write; one that is there is left as it is.
    """
    if path.is_file():
        return
    files: list[bytes] = []
    with ThreadPoolExecutor() as pool, tqdm(total=len(rows), desc="thumbnails") as progress:
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]["images"]
            files += pool.map(thumbnail, batch)
            progress.update(len(batch))
    table = pa.table({"id": list(rows["id"]), "webp": files})
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
