"""A signal ends the run after the step, with a checkpoint, and the run says so."""

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import TrainerControl, TrainerState

from recipes.interruption import EXIT_STATUS, StopOnSignal, exit_if_interrupted


def parts(folder: Path, step: int) -> Any:
    arguments = SimpleNamespace(output_dir=str(folder), device=torch.device("cpu"))
    state = TrainerState(global_step=step, max_steps=10, is_world_process_zero=True)
    trainer = SimpleNamespace(
        args=arguments,
        state=state,
        is_world_process_zero=lambda: True,
        accelerator=SimpleNamespace(wait_for_everyone=lambda: None),
    )
    return arguments, state, TrainerControl(), trainer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1], ids=lambda n: n.name)
def test_a_signal_ends_the_run_with_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    arguments, state, control, trainer = parts(tmp_path, step=4)
    (tmp_path / "interrupted.json").write_text("{}")  # of the run that this one goes on from
    before, stop = signal.getsignal(number), StopOnSignal()
    stop.on_train_begin(arguments, state, control)
    try:
        assert not (tmp_path / "interrupted.json").exists()
        stop.on_step_end(arguments, state, control)
        assert not control.should_training_stop
        os.kill(os.getpid(), number)
        stop.on_step_end(arguments, state, control)
        assert control.should_save
        assert control.should_training_stop
    finally:
        stop.on_train_end(arguments, state, control)
    assert signal.getsignal(number) is before
    with pytest.raises(SystemExit) as left:
        exit_if_interrupted(trainer, stop)
    assert left.value.code == EXIT_STATUS
    written = json.loads((tmp_path / "interrupted.json").read_text())
    assert written == {"signal": number.name, "step": 4}


@pytest.mark.parametrize(("step", "signalled"), [(10, True), (4, False)])
def test_a_finished_run_and_one_that_nobody_stopped_go_on(tmp_path, step, signalled) -> None:
    *_, trainer = parts(tmp_path, step)
    stop = StopOnSignal()
    stop.signal_name = "SIGTERM" if signalled else None
    exit_if_interrupted(trainer, stop)
    assert not (tmp_path / "interrupted.json").exists()
