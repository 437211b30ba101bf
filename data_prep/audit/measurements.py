"""The table of measurements: one row an image, read from beside the data or measured anew."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.audit.folder import DatasetFolder, Shard, class_names, encoded_image, iter_rows
from data_prep.audit.streaming import row_groups, run_pool
from data_prep.image_check import BadImage, check_image
from data_prep.shards import HASH_METADATA, MEASUREMENT_SCHEMA
from rewards.answer_format import parse_answer
from rewards.errors import UserError
from rewards.labels import LABELS

WORDS = ("id", "label", "source", "generator", "category", "question_bank")
# Why an image could not be measured stands in one more column; null where it could.
SCHEMA = MEASUREMENT_SCHEMA.append(pa.field("unreadable", pa.string()))
UNKNOWN = "unknown"
CONTENT_KEY = b"measured_content"
FOOTER_BYTES = 1 << 20


def load_measurements(folder: DatasetFolder, num_proc: int) -> pa.Table:
    """Return the measurements of every row, with ``split``, ``shard`` and ``row`` (its position).

    What is not there yet, or is without hashes, is measured; the result is kept in
    ``folder.measurements_dir`` if that can be written.

    Raises:
        UserError: A label is none of ``LABELS``.
    """
    found = {shard.path: _read_kept(folder, shard) for shard in folder.shards}
    missing = [shard for shard in folder.shards if found[shard.path] is None]
    kept = {path: table for path, table in found.items() if table is not None}
    kept.update(_measure_shards(folder, missing, num_proc))
    tables = []
    for number, shard in enumerate(folder.shards):
        table = kept[shard.path]
        n_rows = len(table)
        table = table.append_column("split", pa.array([shard.split] * n_rows, pa.string()))
        table = table.append_column("shard", pa.array([number] * n_rows, pa.int32()))
        tables.append(table.append_column("row", pa.array(range(n_rows), pa.int32())))
    table = pa.concat_tables(tables)
    _check_labels(table, folder)
    for name in (*WORDS[1:], "format", "mode", "split", "unreadable"):
        table = table.set_column(
            table.schema.get_field_index(name), name, table[name].dictionary_encode()
        )
    return table.unify_dictionaries()


def _measure_shards(
    folder: DatasetFolder, shards: Sequence[Shard], num_proc: int
) -> dict[Path, pa.Table]:
    groups = row_groups(shards)
    if not groups:
        return {}
    tasks = [(shard, index) for shard, index, _ in groups]
    sizes = [size for *_, size in groups]
    parts: dict[Path, list[pa.Table]] = {}
    done: dict[Path, pa.Table] = {}
    n_groups = {shard.path: sum(s.path == shard.path for s, _ in tasks) for shard in shards}
    results = run_pool(_measure, tasks, sizes, num_proc, f"measuring {folder.name}")
    for (shard, _), table in zip(tasks, results, strict=True):
        parts.setdefault(shard.path, []).append(table)
        if len(parts[shard.path]) == n_groups[shard.path]:  # a killed audit keeps whole shards
            done[shard.path] = pa.concat_tables(parts.pop(shard.path))
            _keep(folder, shard, done[shard.path])
    for shard in shards:  # a shard without a row group
        done.setdefault(shard.path, SCHEMA.empty_table())
    return done


def _measure(task: tuple[Shard, int]) -> pa.Table:
    """Measure the images of one row group."""
    shard, row_group = task
    wanted = [name for name in (*WORDS, "completion") if name in shard.columns]
    names = class_names(shard.path)
    rows = []
    for position, row in iter_rows(shard.path, row_group, [*wanted, shard.image_column]):
        measured: dict[str, Any] = {name: str(row.get(name, UNKNOWN)) for name in WORDS}
        if "id" not in row:
            measured["id"] = f"{shard.path.name}:{row_group}:{position}"
        if names and isinstance(row["label"], int):
            measured["label"] = names[row["label"]]
        measured["reasoning_words"] = len(reasoning_of(row).split())
        measured["unreadable"] = None
        try:
            data = encoded_image(row[shard.image_column], shard.path.parent)
            measured.update(check_image(data).measurements.to_dict())
        except (BadImage, OSError, ValueError) as error:
            no_file = isinstance(error, OSError)
            measured["unreadable"] = "the image file cannot be read" if no_file else str(error)
        rows.append({name: measured.get(name) for name in SCHEMA.names})
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def reasoning_of(row: dict[str, Any]) -> str:
    """Return what the row's gold completion reasons; "" where it has none."""
    completion = row.get("completion")
    if isinstance(completion, list):
        completion = "".join(str(turn.get("content", "")) for turn in completion)
    return parse_answer(completion).reasoning if isinstance(completion, str) else ""


def _kept_path(folder: DatasetFolder, shard: Shard) -> Path:
    """Return where the shard's table is kept.

    In a foreign folder, shards of two subfolders may have one name.
    """
    if folder.pinned:
        return folder.measurements_dir / shard.path.name
    prefix = hashlib.sha256(str(shard.path.resolve().parent).encode()).hexdigest()[:8]
    return folder.measurements_dir / f"{prefix}-{shard.path.name}"


def _read_kept(folder: DatasetFolder, shard: Shard) -> pa.Table | None:
    """Return the kept table, unless it is missing, of other data, or without today's hashes."""
    path = _kept_path(folder, shard)
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError):
        return None
    if not HASH_METADATA.items() <= (table.schema.metadata or {}).items():
        return None
    if "unreadable" not in table.column_names:
        table = table.append_column("unreadable", pa.nulls(len(table), pa.string()))
    if len(table) != shard.n_rows or set(SCHEMA.names) - set(table.column_names):
        return None
    n_without_hash = table["pixel_hash"].null_count
    n_unreadable = len(table) - table["unreadable"].null_count
    if n_without_hash > n_unreadable or not _is_of(table, shard):
        return None
    return table.select(SCHEMA.names).cast(SCHEMA)


def _is_of(table: pa.Table, shard: Shard) -> bool:
    """Whether ``table`` was measured of the shard's present content.

    A table that the audit made names the content; one that the build made has its rows' ids.
    """
    content = (table.schema.metadata or {}).get(CONTENT_KEY)
    if content is not None:
        return content == _content_of(shard)
    if "id" not in shard.columns:
        return False
    return pq.read_table(shard.path, columns=["id"])["id"].equals(table["id"])


def _content_of(shard: Shard) -> bytes:
    """Return a fingerprint of the file.

    Of its size and its end: there, Parquet keeps sizes and statistics of all the file holds.
    """
    size = shard.path.stat().st_size
    with shard.path.open("rb") as file:
        file.seek(max(0, size - FOOTER_BYTES))
        return f"{size}/{hashlib.sha256(file.read()).hexdigest()}".encode()


def _keep(folder: DatasetFolder, shard: Shard, table: pa.Table) -> None:
    path = _kept_path(folder, shard)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    table = table.replace_schema_metadata({CONTENT_KEY: _content_of(shard), **HASH_METADATA})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, temporary, compression="zstd")
        os.replace(temporary, path)
    except OSError:
        return  # a read-only folder is measured again the next time
    finally:
        temporary.unlink(missing_ok=True)


def _check_labels(table: pa.Table, folder: DatasetFolder) -> None:
    unknown = sorted(set(table["label"].unique().to_pylist()) - set(LABELS), key=str)
    if unknown:
        raise UserError(
            f"data set {folder.path}: column 'label' holds {unknown[:5]}; expected only "
            f"{list(LABELS)}. Convert the labels where the data set is built."
        )
