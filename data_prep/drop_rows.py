"""Take rows out of finished shards again: what the audit calls a leak."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from data_prep.card import COUNTED_COLUMNS
from data_prep.items import Dropped
from data_prep.plan import Plan
from data_prep.plan_rows import read_planned
from data_prep.shards import (
    Shard,
    data_file,
    measurement_file,
    open_row_writer,
    part_file,
    whole,
)
from rewards.files import write_text


def drop_rows(
    building: Path, plan: Plan, shards: Sequence[Shard], reasons: Mapping[str, str]
) -> None:
    """Leave the rows with the ids of ``reasons`` out of the shards of a building folder.

    Killed and called again with the same ids it goes on: what is out is out, and each entry is
    listed once, in the order of the plan.

    Raises:
        OSError: The folder cannot be written.
    """
    for shard in shards:
        planned = read_planned(plan.path, shard.start, shard.stop)
        out = [(item.id, str(item.path)) for item in planned if item.id in reasons]
        if out:
            entries = [Dropped(row_id, path, reasons[row_id]) for row_id, path in out]
            _drop_from(building, shard, entries)


def _drop_from(building: Path, shard: Shard, entries: Sequence[Dropped]) -> None:
    ids = {entry.id for entry in entries}
    rows_path, measured_path = data_file(building, shard), measurement_file(building, shard)
    measured = _without(pq.read_table(measured_path), ids)
    part = json.loads(part_file(building, shard).read_text(encoding="utf-8"))
    with whole(building, rows_path) as path:
        part["n_image_bytes"] = _copy_rows(rows_path, path, ids)
        part["content"] = _hash_file(path)
    with whole(building, measured_path) as path:
        pq.write_table(measured, path, compression="zstd")
    part["n_rows"] = len(measured)
    for name in COUNTED_COLUMNS:
        part["counts"][name] = dict(sorted(Counter(measured[name].to_pylist()).items()))
    before = [entry for entry in part["dropped"] if entry["id"] not in ids]
    part["dropped"] = [*before, *(entry._asdict() for entry in entries)]
    write_text(part_file(building, shard), json.dumps(part))


def _copy_rows(source: Path, target: Path, ids: set[str]) -> int:
    """Copy the rows of other ids, group by group; return the bytes of their images."""
    n_image_bytes = 0
    file = pq.ParquetFile(source)
    with open_row_writer(target) as writer:
        for group in range(file.num_row_groups):
            table = _without(file.read_row_group(group), ids)
            for images in table["images"].to_pylist():
                n_image_bytes += sum(len(image["bytes"] or b"") for image in images)
            if len(table):
                writer.write_table(table)
    return n_image_bytes


def _without(table: pa.Table, ids: set[str]) -> pa.Table:
    return table.filter(pa.array([row_id not in ids for row_id in table["id"].to_pylist()]))


def _hash_file(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
