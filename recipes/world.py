"""Whether all processes of a launch found each other."""

import os

import torch.distributed as dist
from transformers import TrainingArguments

from rewards.errors import UserError

EXPECTED_VARIABLE = "FAKE_HR1_WORLD_SIZE"


def check_world(args: TrainingArguments) -> None:
    """Stop a run whose processes are not the one group that the launcher meant to start.

    A launch with a wrong accelerate file can end as as many runs of one process as there are
    machines, each of which trains happily, writes to the same folder and exits with 0; or as a
    group whose members each take themselves for the main process.

    Raises:
        UserError: The launcher set ``FAKE_HR1_WORLD_SIZE`` and the processes are fewer or more, or
            trainer and process group disagree.
    """
    in_group = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
    expected = int(os.environ.get(EXPECTED_VARIABLE, in_group))
    if not in_group == args.world_size == expected:
        raise UserError(
            f"the process group has {in_group} members and the trainer counts {args.world_size} "
            f"processes, but the launcher started {expected}. Choose an accelerate file for "
            "several machines (ACCELERATE=multi_gpu, fsdp2 or zero2), and see launch/README.md."
        )
