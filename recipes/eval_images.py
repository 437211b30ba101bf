"""The images of an evaluation: a broken one costs itself alone; small copies for the report."""

import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import PIL.Image
import PIL.ImageOps
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Image
from tqdm import tqdm

from data_prep.loading import TEST_COLUMNS, load_rows
from rewards.errors import UserError

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


def open_rows(dataset_name: str, split: str, max_rows: int | None) -> Dataset:
    """Return the rows to ask about.

    Raises:
        UserError: The data set cannot serve, see ``load_rows``, or two rows have one id.
    """
    rows = load_rows(dataset_name, split, TEST_COLUMNS)
    rows = rows.select(range(min(max_rows or len(rows), len(rows))))
    twice = [row_id for row_id, n in Counter(rows["id"]).items() if n > 1]
    if twice:
        raise UserError(
            f"data set {dataset_name}: {len(twice)} ids stand in several rows (the first is "
            f"{twice[0]!r}); expected each once. Evaluate a split in which every image stands once."
        )
    return rows


def stored_rows(rows: Dataset, places: Sequence[int]) -> list[dict[str, Any]]:
    """Return the rows at ``places`` with their images as stored: nothing is decoded or copied."""
    return rows.with_format("arrow")[list(places)].to_pylist()


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
        rows: From ``open_rows``; images that can be read.
        path: File to write.
    """
    files: list[bytes] = []
    with ThreadPoolExecutor() as pool, tqdm(total=len(rows), desc="thumbnails") as progress:
        for start in range(0, len(rows), _BATCH):
            places = range(start, min(start + _BATCH, len(rows)))
            batch = [row["images"] for row in stored_rows(rows, places)]
            files += pool.map(thumbnail, batch)
            progress.update(len(batch))
    table = pa.table({"id": list(rows["id"]), "webp": files})
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
