"""Read the rows of a finished plan, as every process of a build does: a module of few imports."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from data_prep.items import Dropped, Item

COLUMNS = 'id, path, label, source, generator, category, reasoning, row, "column"'


def plan_uri(path: Path, options: str) -> str:
    """Return the URI by which SQLite opens a plan."""
    return f"file:{quote(str(path.resolve()))}?{options}"


def open_plan(path: Path) -> sqlite3.Connection:
    """Open a finished plan to read it; any number of processes may."""
    return sqlite3.connect(plan_uri(path, "mode=ro&immutable=1"), uri=True)


def read_planned(path: Path, start: int, stop: int) -> Iterator[Item]:
    """Yield the rows from position ``start`` up to ``stop``."""
    with closing(open_plan(path)) as database:
        query = f"SELECT {COLUMNS} FROM planned WHERE position >= ? AND position < ?"
        for row in database.execute(f"{query} ORDER BY position", (start, stop)):
            yield Item(row[0], Path(row[1]), *row[2:])


def read_dropped(path: Path) -> Iterator[Dropped]:
    """Yield what is left out before any image is read, sorted."""
    with closing(open_plan(path)) as database:
        for row in database.execute("SELECT * FROM dropped ORDER BY id, path, reason"):
            yield Dropped(*row)
