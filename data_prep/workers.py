"""Write the missing shards of a building folder with all cores, in any order."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_prep import shard_process
from data_prep.settings import BuildSettings
from data_prep.shards import Shard, data_file, write_shard
from rewards.errors import UserError

POLL_S = 0.2
N_ROWS_ALONE = 500  # fewer are done before processes would have started


def start_server() -> ForkServerContext:
    """Start what forks the processes, unless it runs: its imports take as long as a small plan.

    A server of its own: forking this process could copy a lock that a thread of it holds.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([shard_process.__name__])
    forkserver.ensure_running()
    return context


def write_shards(
    folder: Path,
    plan_path: Path,
    shards: Sequence[Shard],
    settings: BuildSettings,
    num_proc: int,
) -> None:
    """Write every shard that is not there yet, with a bar of rows, rows a second and time left.

    Raises:
        UserError: See ``write_shard``; or the folder cannot be written, or a process was killed.
    """
    missing = [shard for shard in shards if not data_file(folder, shard).is_file()]
    n_rows = shards[-1].stop
    n_left = sum(shard.stop - shard.start for shard in missing)
    work = partial(write_shard, folder, plan_path, settings=settings)
    with tqdm(total=n_rows, initial=n_rows - n_left, unit=" rows", unit_scale=True) as progress:
        try:
            if num_proc == 1 or len(missing) <= 1 or n_left <= N_ROWS_ALONE:
                for shard in missing:
                    work(shard, count=progress.update)
            else:
                _run_pool(missing, work, min(num_proc, len(missing)), progress)
        except OSError as error:
            raise UserError(
                f"writing to {folder} failed: {error.strerror or error}. Free some space or mend "
                "the folder; finished shards are kept, and the same command goes on from them."
            ) from error
        except BrokenProcessPool as error:
            raise UserError(
                "a process was killed, perhaps for want of memory. Finished shards are kept: give "
                f"the same command with --num_proc below {num_proc}."
            ) from error


def _run_pool(missing: Sequence[Shard], work: Any, num_proc: int, progress: tqdm) -> None:
    context = start_server()
    counter = context.Value("q", 0)
    with ProcessPoolExecutor(
        num_proc, mp_context=context, initializer=shard_process.start, initargs=(work, counter)
    ) as pool:
        pending: set[Future[None]] = {pool.submit(shard_process.write, shard) for shard in missing}
        shown = 0
        try:
            while pending:
                done, pending = wait(pending, timeout=POLL_S, return_when=FIRST_COMPLETED)
                progress.update(counter.value - shown)
                shown = counter.value
                for future in done:
                    future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()  # a shard that is not finished is nothing
            raise
