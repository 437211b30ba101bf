"""A data set folder as the audit sees it: its Parquet shards, their splits, its images."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from datasets import load_dataset_builder

from rewards.errors import UserError

IMAGE_COLUMNS = ("images", "image")
BATCH_ROWS = 64  # rows whose images are in memory at once, in one process


@dataclass(frozen=True)
class Shard:
    """One Parquet file of a data set.

    Attributes:
        path: The file.
        split: Split it belongs to.
        n_rows: Rows in it.
        image_column: One of ``IMAGE_COLUMNS``.
        columns: Names of all its columns.
    """

    path: Path
    split: str
    n_rows: int
    image_column: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class DatasetFolder:
    """A data set on the disk.

    Attributes:
        path: Its folder.
        name: What the report calls it.
        shards: Its Parquet files, by split and name.
        pinned: Whether its card names the data files, or a build that has not written the card yet
            has left measurements. Further files may then stand in the folder; in any other,
            ``load_dataset`` could take them for data.
    """

    path: Path
    name: str
    shards: tuple[Shard, ...]
    pinned: bool

    @property
    def audit_dir(self) -> Path:
        """Where the page goes unless told otherwise: in the folder, or beside it."""
        path = self.path.resolve()
        return path / "audit" if self.pinned else path.with_name(f"{path.name}.audit")

    @property
    def measurements_dir(self) -> Path:
        """Where the table of measurements is kept."""
        return (self.path if self.pinned else self.audit_dir) / "measurements"

    @property
    def n_rows(self) -> int:
        """Rows of all splits."""
        return sum(shard.n_rows for shard in self.shards)


def open_folder(path: str | Path, name: str | None = None) -> DatasetFolder:
    """Find the shards of a data set folder.

    Raises:
        UserError: The folder is missing, holds no Parquet data set, or a shard is broken, lacks
            ``label`` or an image column; or there is not a single row.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path} is no folder; name a data set folder, e.g. data/demo/sft.")
    shards = [_open_shard(file, split) for split, file in _data_files(path)]
    if not sum(shard.n_rows for shard in shards):
        raise UserError(f"data set {path} has no rows; there is nothing to audit.")
    return DatasetFolder(path, name or path.resolve().name, tuple(shards), _is_pinned(path))


def _data_files(path: Path) -> list[tuple[str, Path]]:
    try:
        builder = load_dataset_builder(str(path))
    except Exception as error:  # datasets raises many kinds for a folder that is no data set
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} is no data set folder ({reason}); expected Parquet files, as `python -m "
            "data_prep` writes them or as `save` of a hub data set gives them."
        ) from error
    files = [
        (str(split), Path(file))
        for split, names in (builder.config.data_files or {}).items()
        for file in names
    ]
    if not files or any(file.suffix != ".parquet" for _, file in files):
        found = sorted({file.suffix for _, file in files})
        raise UserError(
            f"{path} holds data files of the kinds {found}; the audit reads Parquet only. Convert "
            "it with `load_dataset(...)[split].to_parquet(...)`."
        )
    return sorted(files)


def _open_shard(path: Path, split: str) -> Shard:
    try:
        with pq.ParquetFile(path) as file:
            columns = tuple(file.schema_arrow.names)
            n_rows = file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{path} is no readable Parquet file ({str(error).splitlines()[0]}); build the data "
            "set again or download the file again."
        ) from error
    image_column = next((name for name in IMAGE_COLUMNS if name in columns), None)
    if image_column is None or "label" not in columns:
        missing = "label" if image_column else f"an image column ({' or '.join(IMAGE_COLUMNS)})"
        raise UserError(
            f"{path} has no column {missing}: it has {sorted(columns)}. See data_prep/rows.py for "
            "the columns of a data set."
        )
    return Shard(path, split, n_rows, image_column, columns)


def _is_pinned(path: Path) -> bool:
    """Whether the card's YAML header names the data files, or measurements are there."""
    if (path / "measurements").is_dir():
        return True
    card = path / "README.md"
    if not card.is_file():
        return False
    parts = card.read_text(encoding="utf-8", errors="replace").split("---\n", 2)
    try:
        header = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    except yaml.YAMLError:
        return False
    return isinstance(header, dict) and "configs" in header


def encoded_image(value: Any, base: Path) -> bytes:
    """Return the bytes of one cell of an image column; the first image of a list.

    Args:
        value: ``{"bytes": …, "path": …}`` or a list of such.
        base: Folder that a relative path starts from.

    Raises:
        OSError: The cell names a file that cannot be read.
        ValueError: The cell holds no image.
    """
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict) or not (value.get("bytes") or value.get("path")):
        raise ValueError("the row holds no image")
    return value["bytes"] or (base / value["path"]).read_bytes()


def iter_rows(
    path: Path, row_group: int, columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (position in the row group, row) without holding more than ``BATCH_ROWS`` images."""
    with pq.ParquetFile(path, memory_map=True) as file:
        batches = file.iter_batches(BATCH_ROWS, row_groups=[row_group], columns=list(columns))
        position = 0
        for batch in batches:
            for row in batch.to_pylist():
                yield position, row
                position += 1


def class_names(path: Path) -> list[str] | None:
    """Return the names of a ``ClassLabel`` column ``label``, which is stored as integers."""
    with pq.ParquetFile(path) as file:
        metadata = file.schema_arrow.metadata or {}
    features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    return (features.get("label") or {}).get("names")
