"""The plan of a build: which image stands in which row of which shard, decided before any is read.

The plan is a SQLite file, so that it costs no memory however many rows there are. The order of rows
is that of a hash of seed and id: every shard, and every first part of the set, is a fair mixture of
all sources, whatever the order in which the disk lists its files.
"""

import hashlib
import itertools
import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from data_prep.items import Dropped, Item
from data_prep.plan_rows import COLUMNS, open_plan, plan_uri
from data_prep.prompts import stable_integer
from data_prep.sampling import draw_balanced
from data_prep.settings import BuildSettings
from data_prep.sources.genimage import content_class
from rewards.errors import UserError
from rewards.labels import check_label

SAME_ID = "an entry before has the same id"
TWO_LABELS = "two entries with the same id have different labels"
NOT_UTF8 = "the file name is not UTF-8"
NOT_DRAWN = "not drawn into the sample"
BATCH = 10_000

_SCHEMA = """
CREATE TABLE found (
    key INTEGER, id TEXT, path TEXT, label TEXT, source TEXT, generator TEXT, category TEXT,
    reasoning TEXT, row INTEGER, "column" TEXT, origin INTEGER
);
CREATE TABLE dropped (id TEXT, path TEXT, reason TEXT);
CREATE TABLE planned (
    position INTEGER PRIMARY KEY, id TEXT, path TEXT, label TEXT, source TEXT, generator TEXT,
    category TEXT, reasoning TEXT, row INTEGER, "column" TEXT
);
"""


class Plan(NamedTuple):
    """A finished plan.

    Attributes:
        path: The SQLite file.
        hash: Of the settings, every planned row and every entry that is left out.
        n_rows: Planned rows.
        n_dropped: Entries that are left out before any image is read.
    """

    path: Path
    hash: str
    n_rows: int
    n_dropped: int


def make_plan(
    path: Path, origins: Sequence[tuple[str, Iterable[Item | Dropped]]], settings: BuildSettings
) -> Plan:
    """Write the plan for what the readers yield.

    Args:
        path: SQLite file to write; one that is there is replaced.
        origins: For each root what to call it in errors, and its reader's iterator.
        settings: Of the build.

    Raises:
        UserError: Two roots hold the same id, a label is unknown, or nothing is left.
    """
    path.unlink(missing_ok=True)
    # No journal: a plan that is cut off is made again. No locks: shared disks often have none.
    connection = sqlite3.connect(plan_uri(path, "mode=rwc&nolock=1"), uri=True)
    with closing(connection) as database, database:
        database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + _SCHEMA)
        database.execute("PRAGMA cache_size=-65536")  # 64 MiB
        with tqdm(desc="finding images", unit=" images", unit_scale=True) as progress:
            for origin, (_, items) in enumerate(origins):
                _insert(database, progress, origin, items, settings)
        _drop_doubles(database, [name for name, _ in origins])
        if settings.n_genimage is not None:
            _sample_genimage(database, settings.n_genimage, settings.seed)
        _order(database)
        plan_hash = _hash(database, settings)
        (n_rows,) = database.execute("SELECT COUNT(*) FROM planned").fetchone()
        (n_dropped,) = database.execute("SELECT COUNT(*) FROM dropped").fetchone()
    if n_rows == 0:
        raise UserError(
            f"no rows are left of {', '.join(name for name, _ in origins)}: {n_dropped} entries "
            f"were left out{_most_common(path)}."
        )
    return Plan(path, plan_hash, n_rows, n_dropped)


def _insert(
    database: sqlite3.Connection,
    progress: tqdm,
    origin: int,
    items: Iterable[Item | Dropped],
    settings: BuildSettings,
) -> None:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, BATCH)):
        found, dropped = [], []
        for item in batch:
            if isinstance(item, Dropped) or not _is_utf8(f"{item.id}{item.path}"):
                dropped.append(_printable(item))
                continue
            check_label(item.label)
            path = str(item.path)
            key = _order_key(item, settings.seed)
            found.append((key, item.id, path, *item[2:], origin))
        database.executemany(f"INSERT INTO found VALUES ({','.join('?' * 11)})", found)
        database.executemany("INSERT INTO dropped VALUES (?, ?, ?)", dropped)
        progress.update(len(batch))


def _order_key(item: Item, seed: int) -> int:
    """Return 63 bits by which rows are ordered.

    Rows of a Parquet file stay together, file by file: each is reached by reading its whole row
    group.
    """
    key = item.id if item.row is None else item.path.name
    return stable_integer(f"{seed}/order/{key}") >> 1


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(item: Item | Dropped) -> Dropped:
    reason = item.reason if isinstance(item, Dropped) else NOT_UTF8
    row_id, path = (str(x).encode(errors="replace").decode() for x in (item.id, item.path))
    return Dropped(row_id, path, reason)


def _drop_doubles(database: sqlite3.Connection, names: list[str]) -> None:
    """Keep one entry of each id, the first by path; none where the labels differ."""
    double_ids = database.execute(
        "SELECT id, COUNT(DISTINCT label) FROM found GROUP BY id HAVING COUNT(*) > 1"
    ).fetchall()
    database.execute("CREATE TEMP TABLE double (id TEXT PRIMARY KEY, n_labels INTEGER)")
    database.executemany("INSERT INTO double VALUES (?, ?)", double_ids)
    rows = database.execute(
        "SELECT found.rowid, found.id, path, origin, n_labels FROM found JOIN double USING (id) "
        "ORDER BY found.id, path, reasoning, found.rowid"
    ).fetchall()
    out: list[tuple[int, Dropped]] = []
    for row_id, group in itertools.groupby(rows, key=lambda row: row[1]):
        entries = list(group)
        origins = sorted({entry[3] for entry in entries})
        if len(origins) > 1:
            raise UserError(
                f"{names[origins[0]]} and {names[origins[1]]} both hold the id {row_id!r}: is it "
                "the same data set twice? Give each once, or rename a folder of the second."
            )
        reason = TWO_LABELS if entries[0][4] > 1 else SAME_ID
        left_out = entries if reason == TWO_LABELS else entries[1:]
        out += [(entry[0], Dropped(entry[1], entry[2], reason)) for entry in left_out]
    database.executemany("INSERT INTO dropped VALUES (?, ?, ?)", [entry for _, entry in out])
    database.executemany("DELETE FROM found WHERE rowid = ?", [(rowid,) for rowid, _ in out])


def _sample_genimage(database: sqlite3.Connection, n_samples: int, seed: int) -> None:
    def lot(row_id: str) -> int:
        # Not the order's hash: the drawn rows would all come before those of other sources.
        return stable_integer(f"{seed}/draw/{row_id}") >> 1

    database.create_function("content_class", 1, content_class, deterministic=True)
    database.create_function("lot", 1, lot, deterministic=True)
    draw_balanced(
        database,
        n_samples,
        where="id LIKE 'genimage/%'",
        # The second segment of the id: nature folders belong to a generator, too.
        group="substr(id, 10, instr(substr(id, 10), '/') - 1)",
        content="content_class(id)",
        lot="lot(id)",
    )
    database.execute(
        "INSERT INTO dropped SELECT id, path, ? FROM found WHERE id LIKE 'genimage/%' "
        "AND rowid NOT IN (SELECT row FROM drawn)",
        (NOT_DRAWN,),
    )
    database.execute(
        "DELETE FROM found WHERE id LIKE 'genimage/%' AND rowid NOT IN (SELECT row FROM drawn)"
    )


def _order(database: sqlite3.Connection) -> None:
    database.execute(
        f"INSERT INTO planned SELECT ROW_NUMBER() OVER (ORDER BY key, row, id) - 1, {COLUMNS} "
        "FROM found ORDER BY key, row, id"
    )
    database.execute("DROP TABLE found")


def _hash(database: sqlite3.Connection, settings: BuildSettings) -> str:
    digest = hashlib.sha256(json.dumps(settings.to_dict(), sort_keys=True).encode())
    for query in (
        f"SELECT {COLUMNS} FROM planned ORDER BY position",
        "SELECT * FROM dropped ORDER BY id, path, reason",
    ):
        for row in database.execute(query):
            digest.update(repr(row).encode())
        digest.update(b"\n")
    return digest.hexdigest()[:16]


def _most_common(path: Path) -> str:
    with closing(open_plan(path)) as database:
        counts = database.execute(
            "SELECT reason, COUNT(*) AS n FROM dropped GROUP BY reason ORDER BY n DESC LIMIT 3"
        ).fetchall()
    return f" ({'; '.join(f'{reason}: {n}' for reason, n in counts)})" if counts else ""
