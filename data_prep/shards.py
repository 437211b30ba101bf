"""Write one shard of a data set: its rows, their measurements, and what was left out of it.

A shard is a unit of work: what it holds depends on the plan alone, and it is there whole or not at
all. Three files belong to it; the last to be written says that it is finished:

    set/measurements/NAME.parquet     one row a row of the shard, see ``MEASUREMENT_SCHEMA``
    parts/NAME.json                   counts, content hash, left-out entries
    set/data/NAME.parquet             the rows
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from data_prep.card import COUNTED_COLUMNS
from data_prep.image_check import BadImage, CheckedImage, check_image
from data_prep.image_hashes import HASH_VERSION
from data_prep.image_reader import ImageReader
from data_prep.items import Dropped, Item
from data_prep.plan_rows import read_planned
from data_prep.row import ROW_SCHEMA, make_row
from data_prep.settings import BuildSettings, bank_of
from data_prep.unbiased import unbiased_png
from rewards.files import write_text

ROW_GROUP_ROWS = 100  # the hub's viewer reads a row group at once
ROW_GROUP_BYTES = 64 * 2**20

MAX_SHARD_ROWS = 2000  # about 500 MB of typical images, what the hub recommends for a file
MIN_SHARD_ROWS = 500  # a process of its own starts in the time of fewer
N_SHARDS = 64  # wanted of a set that is large enough: shards are what the cores share

COUNT_EVERY = 16  # rows between two reports of progress

HASH_METADATA = {b"hash_version": str(HASH_VERSION).encode()}
MEASUREMENT_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        *((name, pa.string()) for name in COUNTED_COLUMNS),
        ("format", pa.string()),
        ("mode", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("n_bytes", pa.int64()),
        ("jpeg_quality", pa.int32()),
        ("pixel_hash", pa.binary(16)),
        ("perceptual_hash", pa.uint64()),
        ("reasoning_words", pa.int32()),
    ],
    metadata=HASH_METADATA,
)


class Shard(NamedTuple):
    """A range of the plan.

    Attributes:
        name: File name without suffix, e.g. "train-00000-of-00010".
        start: First position.
        stop: Position after the last.
    """

    name: str
    start: int
    stop: int


class Row(NamedTuple):
    """A row that goes into a shard."""

    row: dict[str, Any]
    measurements: dict[str, Any]
    changes: tuple[str, ...]


def default_rows_per_shard(n_rows: int) -> int:
    """Return the rows of a shard in a plan of ``n_rows``, whatever the number of processes."""
    return min(MAX_SHARD_ROWS, max(MIN_SHARD_ROWS, -(-n_rows // N_SHARDS)))


def plan_shards(split: str, n_rows: int, rows_per_shard: int | None = None) -> list[Shard]:
    """Return the shards of a plan with ``n_rows`` rows."""
    rows_per_shard = rows_per_shard or default_rows_per_shard(n_rows)
    n_shards = -(-n_rows // rows_per_shard)
    return [
        Shard(
            f"{split}-{index:05d}-of-{n_shards:05d}",
            index * rows_per_shard,
            min((index + 1) * rows_per_shard, n_rows),
        )
        for index in range(n_shards)
    ]


def data_file(folder: Path, shard: Shard) -> Path:
    """Return where the rows of a shard lie; the file is there when the shard is finished."""
    return folder / "set" / "data" / f"{shard.name}.parquet"


def measurement_file(folder: Path, shard: Shard) -> Path:
    """Return where the measurements of a shard lie."""
    return folder / "set" / "measurements" / f"{shard.name}.parquet"


def part_file(folder: Path, shard: Shard) -> Path:
    """Return where the counts and the left-out entries of a shard lie."""
    return folder / "parts" / f"{shard.name}.json"


def write_shard(
    folder: Path,
    plan_path: Path,
    shard: Shard,
    settings: BuildSettings,
    count: Callable[[int], object],
) -> None:
    """Write the three files of a shard into the building ``folder``.

    Args:
        folder: Has the folders set/data, set/measurements, parts and tmp.
        plan_path: See ``data_prep.plan``.
        shard: What to write.
        settings: Of the build.
        count: Called with the number of rows that are done since the last call.

    Raises:
        UserError: An image cannot be read for a reason that is not the file's own.
        OSError: The folder cannot be written: it is full, or read-only.
    """
    summary = _Summary()
    measured: list[dict[str, Any]] = []
    with whole(folder, data_file(folder, shard)) as path:
        with _RowWriter(path) as writer:
            for number, result in enumerate(_rows(plan_path, shard, settings), start=1):
                summary.add(result)
                if isinstance(result, Row):
                    writer.add(result.row)
                    measured.append(result.measurements)
                if number % COUNT_EVERY == 0:
                    count(COUNT_EVERY)
        with whole(folder, measurement_file(folder, shard)) as side_path:
            table = pa.Table.from_pylist(measured, schema=MEASUREMENT_SCHEMA)
            pq.write_table(table, side_path, compression="zstd")
        write_text(part_file(folder, shard), json.dumps(summary.to_dict()))
    count((shard.stop - shard.start) % COUNT_EVERY)


def build_row(item: Item, data: bytes, settings: BuildSettings) -> Row:
    """Return the row of an item whose file holds ``data``.

    Raises:
        BadImage: The image cannot serve.
    """
    if settings.unbiased and item.id.startswith("genimage/"):
        data = unbiased_png(data, item.id, item.label, settings.seed)
    checked = check_image(data, decode=settings.check == "full")
    bank = bank_of(settings, item.id, item.reasoning)
    row = make_row(
        row_id=item.id,
        image=_image_value(item, checked, settings),
        label=item.label,
        question_bank=bank,
        reasoning=item.reasoning,
        source=item.source,
        generator=item.generator,
        category=item.category,
        prompts=settings.prompts,
        seed=settings.seed,
    )
    measurements = {
        "id": item.id,
        **{name: row[name] for name in COUNTED_COLUMNS},
        **checked.measurements.to_dict(),
        "reasoning_words": len(item.reasoning.split()) if bank == "hard" else 0,
    }
    return Row(row, measurements, checked.changes)


def _rows(plan_path: Path, shard: Shard, settings: BuildSettings) -> Iterator[Row | Dropped]:
    reader = ImageReader()
    for item in read_planned(plan_path, shard.start, shard.stop):
        try:
            yield build_row(item, reader.read(item), settings)
        except BadImage as error:
            yield Dropped(item.id, str(item.path), str(error))


def _image_value(item: Item, checked: CheckedImage, settings: BuildSettings) -> dict[str, Any]:
    """Return the image as ``datasets.Image`` takes it.

    A file that must not be shown as it is has its new bytes in the row even where only paths are
    asked for, and so has an image that is no file of its own.
    """
    if settings.image_storage == "path" and item.row is None and not checked.changes:
        return {"bytes": None, "path": str(item.path)}
    return {"bytes": checked.data, "path": item.id.rsplit("/", 1)[-1]}


class _Summary:
    """What the card and ``dropped.jsonl`` need to know of a shard."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTED_COLUMNS}
        self._changes: Counter[str] = Counter()
        self._dropped: list[Dropped] = []
        self._content = xxhash.xxh3_128()
        self._n_rows = self._n_image_bytes = 0

    def add(self, result: Row | Dropped) -> None:
        if isinstance(result, Dropped):
            self._dropped.append(result)
            return
        row, image = result.row, result.row["images"][0]
        self._n_rows += 1
        self._changes.update(result.changes)
        for name, counter in self._counts.items():
            counter[row[name]] += 1
        texts = (row["id"], row["label"], row["question_bank"], row["question"])
        self._content.update("\x1f".join((*texts, row["completion"][0]["content"], "")).encode())
        self._content.update(image["bytes"] or image["path"].encode())
        self._n_image_bytes += len(image["bytes"] or b"")

    def to_dict(self) -> dict[str, Any]:
        return {
            "n_rows": self._n_rows,
            "n_image_bytes": self._n_image_bytes,
            "content": self._content.hexdigest(),
            "counts": {name: dict(sorted(c.items())) for name, c in self._counts.items()},
            "changes": dict(sorted(self._changes.items())),
            "dropped": [dropped._asdict() for dropped in self._dropped],
        }


class _RowWriter:
    """Writes rows group by group, so that only one group is in memory."""

    def __init__(self, path: Path) -> None:
        self._writer = open_row_writer(path)
        self._rows: list[Mapping[str, Any]] = []
        self._n_bytes = 0

    def __enter__(self) -> "_RowWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._rows:
                self._write_group()
        finally:
            self._writer.close()

    def add(self, row: Mapping[str, Any]) -> None:
        self._rows.append(row)
        self._n_bytes += len(row["images"][0]["bytes"] or b"")
        if len(self._rows) == ROW_GROUP_ROWS or self._n_bytes >= ROW_GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        rows, self._rows, self._n_bytes = self._rows, [], 0
        self._writer.write_table(pa.Table.from_pylist(rows, schema=ROW_SCHEMA))


def open_row_writer(path: Path) -> pq.ParquetWriter:
    """Open a Parquet file for rows: encoded images neither compressed again nor compared."""
    turns = [
        f"{t}.list.element.{key}" for t in ("prompt", "completion") for key in ("role", "content")
    ]
    texts = ["id", "question", *COUNTED_COLUMNS, *turns, "images.list.element.path"]
    image = "images.list.element.bytes"
    options: dict[str, Any] = {  # the stubs know these options' simple values only
        "compression": {**dict.fromkeys(texts, "zstd"), image: "none"},
        "use_dictionary": texts,
        "write_statistics": texts,
        "column_encoding": {image: "PLAIN"},
    }
    return pq.ParquetWriter(path, ROW_SCHEMA, **options)


@contextmanager
def whole(folder: Path, path: Path) -> Iterator[Path]:
    """Give a temporary path and, if all went well, move what was written there to ``path``."""
    temporary = folder / "tmp" / f"{path.parent.name}-{path.name}.{os.getpid()}"
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
