"""Run folders: what they record, what they refuse, where a run goes on."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState

from recipes import run_folder
from recipes.run_folder import JsonlLogger, last_whole_checkpoint, open_run, read_log
from rewards.errors import UserError
from tests.recipes.conftest import small_rows


def config_of(model: Path, **values) -> dict:
    return {"model_name_or_path": str(model), "seed": 3, "restart": False, **values}


def test_run_json_says_how_the_run_was_made(tmp_path, model_folder) -> None:
    open_run(tmp_path / "run", config_of(model_folder, learning_rate=0.1), small_rows(4))
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["config"]["learning_rate"] == 0.1
    assert run["seed"] == 3
    assert run["n_rows"] == 4
    assert run["dataset_fingerprint"]
    assert run["model_fingerprint"]
    assert {"python", "trl", "transformers", "torch"} <= set(run["packages"])
    assert run["git_commit"]


def test_outside_git_the_commit_is_unknown(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert run_folder.git_commit() == "unknown"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"learning_rate": 0.2}, r"learning_rate: 0.1 -> 0.2", id="a setting"),
        pytest.param({"rows": 5}, "n_rows: 4 -> 5", id="the data set"),
        pytest.param({"weights": b"other"}, "model_fingerprint", id="the model's weights"),
    ],
)
def test_folder_of_another_run_is_refused(tmp_path, model_folder, changed, message) -> None:
    open_run(tmp_path / "run", config_of(model_folder, learning_rate=0.1), small_rows(4))
    if "weights" in changed:
        (model_folder / "model.safetensors").write_bytes(changed["weights"])
    config = config_of(model_folder, learning_rate=changed.get("learning_rate", 0.1))
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(UserError, match=message):
        open_run(tmp_path / "run", config, small_rows(changed.get("rows", 4)))
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    open_run(tmp_path / "run", {**config, "restart": True}, small_rows(changed.get("rows", 4)))


def test_restart_throws_the_old_run_away(tmp_path, model_folder) -> None:
    old = tmp_path / "run" / "checkpoint-5"
    old.mkdir(parents=True)
    open_run(tmp_path / "run", config_of(model_folder, restart=True), small_rows(4))
    assert not old.exists()


def test_longer_training_goes_on_in_the_same_folder(tmp_path, model_folder) -> None:
    open_run(tmp_path / "run", config_of(model_folder, max_steps=10), small_rows(4))
    open_run(tmp_path / "run", config_of(model_folder, max_steps=20), small_rows(4))


def test_half_written_checkpoint_is_passed_over(tmp_path) -> None:
    assert last_whole_checkpoint(tmp_path) is None
    for step, state in ((9, "{}"), (10, "{}"), (100, '{"cut'), (200, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    assert last_whole_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")


def test_log_goes_on_from_the_checkpoint(tmp_path) -> None:
    args: Any = SimpleNamespace(output_dir=str(tmp_path))
    control = TrainerControl()
    logger = JsonlLogger()

    def state(step: int) -> TrainerState:
        return TrainerState(global_step=step, is_world_process_zero=True)

    logger.on_train_begin(args, state(0), control)
    for step in (1, 2, 3):
        logger.on_log(args, state(step), control, logs={"loss": float(step)})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')  # a kill
    logger.on_train_begin(args, state(2), control)
    logger.on_log(args, state(3), control, logs={"loss": 30.0})
    records = read_log(tmp_path)
    assert [(record["step"], record["loss"]) for record in records] == [
        (1, 1.0),
        (2, 2.0),
        (3, 30.0),
    ]
    assert all(
        {"max_steps", "time"} <= set(record) for record in records
    )  # `make status` reads them


def test_only_the_first_process_logs(tmp_path) -> None:
    args: Any = SimpleNamespace(output_dir=str(tmp_path))
    state = TrainerState(global_step=1, is_world_process_zero=False)
    JsonlLogger().on_log(args, state, TrainerControl(), logs={"loss": 1.0})
    assert read_log(tmp_path) == []
