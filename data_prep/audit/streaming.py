"""Work on row groups of Parquet files in parallel, with progress."""

import multiprocessing
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import accumulate
from typing import TypeVar

import pyarrow.parquet as pq
from tqdm import tqdm

from data_prep.audit.folder import Shard

INLINE_ROWS = 1000  # fewer than this are done before a pool has started

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
RowGroupTask = tuple[Shard, int, list[int], list[int]]


def run_pool(
    function: Callable[[_Task], _Result],
    tasks: Sequence[_Task],
    sizes: Sequence[int],
    num_proc: int,
    desc: str,
) -> Iterator[_Result]:
    """Yield the results of ``tasks`` in their order, with a progress bar over their ``sizes``."""
    total = sum(sizes)
    with tqdm(total=total, desc=desc, unit=" rows", disable=None if total else True) as progress:
        if total < INLINE_ROWS or num_proc == 1 or len(tasks) == 1:
            for task, size in zip(tasks, sizes, strict=True):
                yield function(task)
                progress.update(size)
            return
        # Started fresh: a fork would copy the locks of Arrow's and faiss's threads as they are.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(num_proc, len(tasks)), mp_context=context) as pool:
            for result, size in zip(pool.map(function, tasks), sizes, strict=True):
                yield result
                progress.update(size)


def row_groups(shards: Iterable[Shard]) -> list[tuple[Shard, int, int]]:
    """Return (shard, row group, rows in it) of all ``shards``: the units of parallel work."""
    groups = []
    for shard in shards:
        metadata = pq.read_metadata(shard.path)
        groups += [
            (shard, index, metadata.row_group(index).num_rows)
            for index in range(metadata.num_row_groups)
        ]
    return groups


def places_by_row_group(places: Sequence[tuple[Shard, int]]) -> list[RowGroupTask]:
    """Sort ``places`` (shard, row) into (shard, row group, rows in it, positions in ``places``)."""
    by_shard: dict[Shard, list[tuple[int, int]]] = defaultdict(list)
    for position, (shard, row) in enumerate(places):
        by_shard[shard].append((row, position))
    tasks = []
    for shard in sorted(by_shard, key=lambda shard: str(shard.path)):
        metadata = pq.read_metadata(shard.path)
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        starts = [0, *accumulate(sizes)]
        groups: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for row, position in sorted(by_shard[shard]):
            group = bisect_right(starts, row) - 1
            groups[group].append((row - starts[group], position))
        for group in sorted(groups):
            rows, positions = zip(*groups[group], strict=True)
            tasks.append((shard, group, list(rows), list(positions)))
    return tasks
