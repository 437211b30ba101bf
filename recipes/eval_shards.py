"""One evaluation by several processes: one engine for each GPU, or one for each Slurm array task.

A process takes every n-th row. Nothing else is shared but the folder: what all have answered is
what there is (``recipes.eval_asks``), so a lost process is started again alone, with the same
``--shard_index``, or the command without it asks what is missing.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from recipes.eval_asks import Shard
from rewards.errors import UserError

POLL_S = 0.5


@dataclass
class ShardArguments:
    """How an evaluation is divided."""

    num_shards: int | None = field(
        default=None,
        metadata={"help": "Processes that share the rows; none: one for each GPU (or TP group)."},
    )
    shard_index: int | None = field(
        default=None,
        metadata={
            "help": "Ask this shard's rows only, 0 to num_shards - 1; none: all, and sum up."
        },
    )

    def __post_init__(self) -> None:
        """Refuse a division that does not exist."""
        if self.num_shards is not None and self.num_shards < 1:
            raise ValueError(f"num_shards={self.num_shards} must be at least 1.")
        if self.shard_index is not None and not 0 <= self.shard_index < (self.num_shards or 0):
            raise ValueError(
                f"shard_index={self.shard_index} needs num_shards above it; num_shards is "
                f"{self.num_shards}."
            )

    def shard(self) -> Shard:
        """Return the rows of this process."""
        if self.shard_index is None or self.num_shards is None:
            return Shard()
        return Shard(self.shard_index, self.num_shards)


def n_processes(num_shards: int | None, tensor_parallel_size: int) -> int:
    """Return how many engines this machine runs: as asked for, else one for each group of GPUs.

    Raises:
        UserError: There are not enough GPUs.
    """
    n_groups = torch.cuda.device_count() // tensor_parallel_size
    if num_shards is None:
        return max(1, n_groups)
    if torch.cuda.is_available() and num_shards > max(1, n_groups):
        raise UserError(
            f"num_shards={num_shards} with tensor_parallel_size={tensor_parallel_size} needs "
            f"{num_shards * tensor_parallel_size} GPUs; this machine has "
            f"{torch.cuda.device_count()}. Lower one of the two, or give each machine its own "
            "--shard_index."
        )
    return num_shards


def visible_devices(index: int, size: int) -> dict[str, str]:
    """Return the environment that shows a process its own group of ``size`` GPUs."""
    if not torch.cuda.is_available():
        return {}
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = given.split(",") if given else [str(i) for i in range(torch.cuda.device_count())]
    return {"CUDA_VISIBLE_DEVICES": ",".join(devices[index * size : (index + 1) * size])}


def run_shards(
    command: Sequence[str], n_shards: int, tensor_parallel_size: int, logs: Path
) -> None:
    """Run ``command`` once for each shard and wait; the first one's output is shown as it comes.

    Args:
        command: Program and arguments, without a shard.
        n_shards: Number of processes.
        tensor_parallel_size: GPUs of each.
        logs: Folder for the others' output.

    Raises:
        UserError: A process failed; the others were waited for.
    """
    logs.mkdir(parents=True, exist_ok=True)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for index in range(n_shards):
            words = ["--num_shards", str(n_shards), "--shard_index", str(index)]
            environment = {**os.environ, **visible_devices(index, tensor_parallel_size)}
            with (logs / f"shard-{index}.log").open("wb") as log:
                shown = {} if index == 0 else {"stdout": log, "stderr": subprocess.STDOUT}
                processes.append(subprocess.Popen([*command, *words], env=environment, **shown))
        while any(process.poll() is None for process in processes):
            time.sleep(POLL_S)
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
                process.wait()
    failed = [index for index, process in enumerate(processes) if process.returncode]
    if failed:
        raise UserError(
            f"shards {failed} of {n_shards} failed (see above, or {logs}/shard-<index>.log). What "
            "was answered is kept: the same command asks the rest, and with --num_shards "
            f"{n_shards} --shard_index {failed[0]} one shard alone."
        )


def own_command(module: str = "recipes.eval") -> list[str]:
    """Return the command that started this process, for its shards."""
    return [sys.executable, "-m", module, *sys.argv[1:], "--restart", "false"]
