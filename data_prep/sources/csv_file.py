"""A table of images: ``--csv FILE`` with the columns path and label.

Commas between columns, UTF-8. With a header, columns may be named in any order: ``path`` and
``label``, and where wanted ``source``, ``generator`` and ``category``; without one there are
exactly the two columns path and label. Paths are absolute or relative to the table's folder.
"""

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from data_prep.items import Dropped, Item
from data_prep.sources.label_map import PLAIN_LABELS, describe
from rewards.errors import UserError

REQUIRED_COLUMNS = ("path", "label")
OPTIONAL_COLUMNS = ("source", "generator", "category")


def read_csv(
    table: Path, split: str, *, label_map: Mapping[str, str] | None = None
) -> Iterator[Item | Dropped]:
    """Yield the images a table lists.

    The whole table is checked before the first image is given, so that a wrong line stops a build
    at its start. Whether a file exists is the builder's question. Ids begin with "csv/" and the
    table's name, which is the source where the table names none.

    Args:
        table: The CSV file.
        split: The split to build; unused.
        label_map: Spellings of labels in lower case, to labels; "real" and "fake" if None.

    Raises:
        UserError: The file is missing or empty, is not UTF-8 or not comma-separated, has other
            columns, a line of another length, an unknown label, no path, or one image under both
            labels.
    """
    label_map = PLAIN_LABELS if label_map is None else label_map
    folder, name = str(table.parent), table.stem
    seen: dict[int, str] = {}
    for line, cells in _lines(table, label_map):
        label = _label(cells, label_map, table, line)
        key = hash(_image_path(folder, cells))
        if seen.setdefault(key, label) != label:
            raise UserError(
                f"{table}, line {line}: {cells['path']!r} is {label} here and {seen[key]} before; "
                "an image has one label."
            )
    if not seen:
        raise UserError(f"{table} lists no images.")
    for line, cells in _lines(table, label_map):
        path = _image_path(folder, cells)
        row_id = f"csv/{name}/{os.path.normpath(cells['path'])}"
        # Each path is given once, at its first line.
        if seen.pop(hash(path), None) is None:
            yield Dropped(row_id, cells["path"], "listed before in the same table")
            continue
        label = _label(cells, label_map, table, line)
        yield Item(
            id=row_id,
            path=Path(path),
            label=label,
            source=cells.get("source") or name,
            generator=cells.get("generator") or ("camera" if label == "real" else "unknown"),
            category=cells.get("category") or "unknown",
        )


def _lines(table: Path, label_map: Mapping[str, str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of each line with its cells by column."""
    if not table.is_file():
        raise UserError(f"table {table} does not exist; expected a CSV file of path,label.")
    columns: tuple[str, ...] | None = None
    with table.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if not any(cells):
                    continue
                if columns is None:
                    columns, is_header = _columns(cells, label_map, table)
                    if is_header:
                        continue
                if len(cells) != len(columns):
                    raise UserError(
                        f"{table}, line {reader.line_num}: found {len(cells)} cells, expected "
                        f"{len(columns)} ({','.join(columns)}); put quotes around a path that "
                        "holds a comma."
                    )
                yield reader.line_num, dict(zip(columns, cells, strict=True))
        except UnicodeDecodeError as error:
            raise UserError(f"{table} is not UTF-8 ({error.reason}); save it as UTF-8.") from error
        except csv.Error as error:
            raise UserError(f"{table}, line {reader.line_num}: {error}.") from error


def _columns(
    cells: list[str], label_map: Mapping[str, str], table: Path
) -> tuple[tuple[str, ...], bool]:
    """Return the names of the columns, and whether the first line is a header."""
    names = tuple(cell.lower() for cell in cells)
    allowed = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
    if set(REQUIRED_COLUMNS) <= set(names):
        if set(names) - set(allowed) or len(set(names)) < len(names):
            raise UserError(
                f"{table} has the columns {list(names)}; expected each of {list(allowed)} at most "
                "once and no others, of which path and label are needed. Remove the rest."
            )
        return names, True
    if len(cells) == len(REQUIRED_COLUMNS) and cells[1].lower() in label_map:
        return REQUIRED_COLUMNS, False
    raise UserError(
        f"{table}, line 1: {','.join(cells)!r} is neither a header with the columns path and label "
        f"nor a path and a label ({describe(label_map)}). Separate columns by commas, and map "
        "other spellings of the labels, for instance: --label_map 0=real 1=fake."
    )


def _label(cells: Mapping[str, str], label_map: Mapping[str, str], table: Path, line: int) -> str:
    if not cells["path"]:
        raise UserError(f"{table}, line {line}: the path is empty.")
    label = label_map.get(cells["label"].lower())
    if label is None:
        raise UserError(
            f"{table}, line {line}: unknown label {cells['label']!r}; expected one of "
            f"{list(label_map)}. Say what it means, for instance: --label_map 0=real 1=fake."
        )
    return label


def _image_path(folder: str, cells: Mapping[str, str]) -> str:
    """Return where the image lies; equal for two spellings of one path."""
    return os.path.normpath(os.path.join(folder, cells["path"]))
