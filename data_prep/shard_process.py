"""What a process that writes shards does: start, write, and end with its parent.

A module of few imports, which a build waits for.
"""

import multiprocessing
import os
import signal
import sys
import threading
from importlib.abc import MetaPathFinder
from multiprocessing.connection import wait as wait_for
from typing import Any

import pyarrow as pa
from PIL import Image

from data_prep.shards import Shard

# Blocks of pixels (16 MiB at most) that Pillow keeps for the next image: fresh memory for each one
# costs a tenth of the decoding.
N_PIXEL_BLOCKS = 4


class _WithoutPandas(MetaPathFinder):
    """Finds no pandas: Arrow would take a quarter of a second to ask it whether a list is its."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


_work: Any = None
_counter: Any = None


def start(work: Any, counter: Any) -> None:
    """Prepare a process: one thread each, and an end when the parent is killed."""
    global _work, _counter
    _work, _counter = work, counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and ends the pool
    sys.meta_path.insert(0, _WithoutPandas())
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    Image.core.set_blocks_max(N_PIXEL_BLOCKS)
    end_with_parent()


def end_with_parent() -> None:
    """End this process when its parent has ended, however that was."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def write(shard: Shard) -> None:
    """Write a shard by what ``start`` was given."""
    _work(shard, count=_count)


def _count(n_rows: int) -> None:
    with _counter.get_lock():
        _counter.value += n_rows
