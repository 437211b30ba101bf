"""The sets of one audit as one table: the set that is audited, then those it is held against."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from data_prep.audit.folder import DatasetFolder, Shard, open_folder
from data_prep.audit.measurements import load_measurements
from rewards.errors import UserError
from rewards.labels import LABELS


@dataclass(frozen=True)
class Corpus:
    """Rows of all sets, in the order set, shard, row.

    Attributes:
        folders: The audited set, then the others.
        table: Measurements of all rows, see ``load_measurements``.
        set_number: Set of each row, int32 [n].
        part_number: Part of each row, int32 [n]; a part is one split of one set.
        parts: Names of the parts, e.g. "sft/train".
        part_sets: Set of each part.
    """

    folders: tuple[DatasetFolder, ...]
    table: pa.Table
    set_number: np.ndarray
    part_number: np.ndarray
    parts: tuple[str, ...]
    part_sets: tuple[int, ...]

    @cached_property
    def is_fake(self) -> np.ndarray:
        """Whether each row's label is "fake", bool [n]."""
        return self.codes("label", LABELS) == LABELS.index("fake")

    @cached_property
    def readable(self) -> np.ndarray:
        """Whether each row's image could be measured, bool [n]."""
        return self.table["unreadable"].is_null().to_numpy()

    def codes(self, column: str, values: Sequence[str]) -> np.ndarray:
        """Return the position in ``values`` of each row's text in ``column``; -1 for others."""
        array = self.table[column].combine_chunks()
        names = array.dictionary.to_pylist()
        positions = np.array([values.index(n) if n in values else -1 for n in names] + [-1])
        return positions[array.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)]

    def names(self, column: str, rows: np.ndarray) -> list[str]:
        """Return the texts of ``column`` in ``rows``."""
        return self.table[column].take(pa.array(rows)).to_pylist()

    def numbers(self, column: str) -> np.ndarray:
        """Return a numeric column as float64 [n]; null is NaN."""
        return self.table[column].cast(pa.float64()).to_numpy()

    def place(self, row: int) -> tuple[Shard, int]:
        """Return shard and position of a row of the table."""
        folder = self.folders[self.set_number[row]]
        return folder.shards[self.table["shard"][row].as_py()], self.table["row"][row].as_py()

    def places(self, rows: np.ndarray) -> list[tuple[Shard, int]]:
        """Return shard and position of many rows."""
        chosen = self.table.select(["shard", "row"]).take(pa.array(rows))
        numbers = zip(
            self.set_number[rows].tolist(),
            chosen["shard"].to_pylist(),
            chosen["row"].to_pylist(),
            strict=True,
        )
        return [(self.folders[s].shards[shard], row) for s, shard, row in numbers]


def load_corpus(
    folder: str | Path, against: Sequence[str | Path], num_proc: int, name: str | None = None
) -> Corpus:
    """Open and measure a set and those it is held against.

    Raises:
        UserError: A folder cannot serve, see ``open_folder`` and ``load_measurements``; or one is
            named twice.
    """
    paths = [Path(p) for p in (folder, *against)]
    if len({path.resolve() for path in paths}) < len(paths):
        raise UserError(
            f"a folder is named twice in {[str(path) for path in paths]}; an audit finds "
            "duplicates within a set without --against."
        )
    folders = [open_folder(path, name if i == 0 else None) for i, path in enumerate(paths)]
    folders = _with_distinct_names(folders)
    tables = [load_measurements(folder, num_proc) for folder in folders]
    table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    set_number = np.repeat(np.arange(len(tables), dtype=np.int32), [len(t) for t in tables])
    parts: list[str] = []
    part_sets: list[int] = []
    part_number = np.zeros(len(table), np.int32)
    splits = np.asarray(table["split"].to_pylist(), dtype=object)
    for number, opened in enumerate(folders):
        for split in dict.fromkeys(shard.split for shard in opened.shards):
            part_number[(set_number == number) & (splits == split)] = len(parts)
            parts.append(f"{opened.name}/{split}")
            part_sets.append(number)
    return Corpus(tuple(folders), table, set_number, part_number, tuple(parts), tuple(part_sets))


def _with_distinct_names(folders: list[DatasetFolder]) -> list[DatasetFolder]:
    names = [folder.name for folder in folders]
    return [
        DatasetFolder(f.path, str(f.path), f.shards, f.pinned) if names.count(f.name) > 1 else f
        for f in folders
    ]
