"""A seeded sample of planned images, balanced by generator, label and content."""

import sqlite3
from collections.abc import Mapping

from rewards.errors import UserError

Group = tuple[str, str]


def draw_balanced(
    database: sqlite3.Connection,
    n_samples: int,
    *,
    where: str,
    group: str,
    content: str,
    lot: str,
) -> None:
    """Fill the table ``drawn (row)`` with the rowids of ``n_samples`` rows of ``found``.

    Every pair of group and label gives the same number, or all it has; within a pair every content
    class gives the same number, or all it has. Which ones is decided by ``lot``, a hash of seed and
    id: neither the order on the disk nor what else is there changes the draw within a class.

    Args:
        database: Has the table ``found`` with ``id`` and ``label``.
        n_samples: How many to draw.
        where: SQL condition: among which rows.
        group: SQL expression: what is balanced beside the label.
        content: SQL expression: the content class.
        lot: SQL expression: the smaller, the earlier drawn.

    Raises:
        UserError: There are fewer than ``n_samples`` rows.
    """
    counts = {
        (name, label): n
        for name, label, n in database.execute(
            f"SELECT {group} AS g, label, COUNT(*) FROM found WHERE {where} GROUP BY g, label"
        )
    }
    quotas = share_out(n_samples, counts)
    database.execute("CREATE TEMP TABLE quota (name TEXT, label TEXT, n INTEGER)")
    database.executemany("INSERT INTO quota VALUES (?, ?, ?)", [(*k, n) for k, n in quotas.items()])
    # First the first of every content class, then the second of each, ...
    database.execute(
        f"""
        CREATE TEMP TABLE drawn AS
        WITH lots AS (
            SELECT rowid AS row, {group} AS name, label, {content} AS content, {lot} AS lot, id
            FROM found WHERE {where}
        ), turns AS (
            SELECT row, name, label, lot, id,
                ROW_NUMBER() OVER (PARTITION BY name, label, content ORDER BY lot, id) AS turn
            FROM lots
        ), ranked AS (
            SELECT row, name, label,
                ROW_NUMBER() OVER (PARTITION BY name, label ORDER BY turn, lot, id) AS rank
            FROM turns
        )
        SELECT row FROM ranked JOIN quota USING (name, label) WHERE rank <= n
        """
    )


def share_out(n_samples: int, counts: Mapping[Group, int]) -> dict[Group, int]:
    """Return how many each group gives: the same number, or all it has; the sum is exact.

    Raises:
        UserError: There are fewer than ``n_samples``.
    """
    total = sum(counts.values())
    if n_samples > total:
        raise UserError(
            f"a sample of {n_samples} was asked for, but only {total} images are there; ask for "
            "fewer, or leave the number out to take all."
        )
    quotas: dict[Group, int] = {}
    left = n_samples
    # The smallest first: what it cannot give is shared among those after it.
    for position, group in enumerate(sorted(counts, key=lambda g: (counts[g], g))):
        quotas[group] = min(counts[group], left // (len(counts) - position))
        left -= quotas[group]
    return quotas
