"""Stop in good order when the machine asks for it: SIGTERM, or SIGUSR1 as Slurm is told to send.

A scheduler sends a signal before it takes a machine away (preemption, time limit). The run then
ends its step, saves a whole checkpoint and says so in ``interrupted.json``; the same command goes
on from there.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from rewards.files import write_json

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
INTERRUPTED_FILE = "interrupted.json"
EXIT_STATUS = 75  # sysexits.h, EX_TEMPFAIL: nothing is wrong, try again


class StopOnSignal(TrainerCallback):
    """Ends the run with a checkpoint after the step in which any process got a signal.

    The processes agree after every step, since a signal need not reach all of them, or not in the
    same step.
    """

    def __init__(self) -> None:
        """Be asked by nobody yet."""
        self.signal_name: str | None = None
        self._before: dict[int, Any] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take over the signals, once every child that must not see our handler has started."""
        if state.is_world_process_zero:
            (Path(str(args.output_dir)) / INTERRUPTED_FILE).unlink(missing_ok=True)
        process = os.getpid()

        def asked(number: int, frame: Any) -> None:
            if os.getpid() == process:  # a forked data-loader worker inherits the handler
                self.signal_name = signal.Signals(number).name

        self._before = {number: signal.signal(number, asked) for number in SIGNALS}

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask for a checkpoint and the end, in all processes or in none."""
        if _any_process(self.signal_name is not None, args.device):
            control.should_save = True
            control.should_training_stop = True

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)


def exit_if_interrupted(trainer: Trainer, stop: StopOnSignal) -> None:
    """Leave with ``EXIT_STATUS`` when a signal ended the training before its last step.

    Raises:
        SystemExit: It did; ``interrupted.json`` says where.
    """
    state = trainer.state
    if state.global_step >= state.max_steps or not _any_process(
        stop.signal_name is not None, trainer.args.device
    ):
        return
    if trainer.is_world_process_zero():
        record = {"signal": stop.signal_name or "in another process", "step": state.global_step}
        write_json(Path(str(trainer.args.output_dir)) / INTERRUPTED_FILE, record)
        sys.stderr.write(
            f"stopped by a signal ({record['signal']}) after step {state.global_step} of "
            f"{state.max_steps}, with a whole checkpoint; the same command goes on from there.\n"
        )
    trainer.accelerator.wait_for_everyone()
    sys.exit(EXIT_STATUS)


def _any_process(flag: bool, device: torch.device) -> bool:
    """Return whether ``flag`` is set in any process of the run."""
    if not (dist.is_available() and dist.is_initialized()):
        return flag
    flags = torch.tensor([int(flag)], device=device)
    dist.all_reduce(flags, op=dist.ReduceOp.MAX)
    return bool(flags.item())
