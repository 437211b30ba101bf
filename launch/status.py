"""Where a run stands: ``make status``; end its jobs: ``make cancel``."""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from launch.jobs import ALIVE, is_alive, job_states, read_jobs, run_slurm
from launch.stages import STAGES, Stage, make_stage
from rewards.errors import run_cli

_HEADER = ("stage", "state", "step", "left", "loss", "reward", "job", "log")
N_TAIL_LINES = 12
_N_RECENT = 20  # log records from which the pace is taken


def stage_row(stage: Stage, run_dir: Path) -> tuple[str, ...]:
    """Return what the table says of a stage."""
    jobs = {
        part: job for part, job in read_jobs(run_dir).items() if part.split("-")[0] == stage.name
    }
    state = "whole" if stage.whole else stage_state(list(jobs.values()))
    records = log_records(stage.folder)
    logs = sorted((run_dir / "logs").glob(f"{stage.name}-*.out"), key=lambda p: p.stat().st_mtime)
    last = records[-1] if records else {}
    step = f"{last['step']}/{last['max_steps']}" if "max_steps" in last else "-"
    return (
        stage.name,
        state,
        step,
        "-" if stage.whole else time_left(records),
        latest(records, "loss"),
        latest(records, "reward"),
        ",".join(jobs.values()) or "-",
        str(logs[-1]) if logs else "-",
    )


def stage_state(job_ids: list[str]) -> str:
    """Return the state of a stage's jobs in one word or two, worst first."""
    if not job_ids:
        return "not submitted"
    states = [task for job_id in job_ids for task in job_states(job_id)]
    counts = Counter(task.get("JobState", "UNKNOWN") for task in states)
    ended_badly = [name for name in counts if name not in (*ALIVE, "COMPLETED")]
    if ended_badly:
        name = ended_badly[0]
        task = next(task for task in states if task.get("JobState") == name)
        return f"{name} ({task.get('Reason', '')} exit {task.get('ExitCode', '?')})"
    return " ".join(f"{name} {n}" if len(states) > 1 else name for name, n in counts.items()) or (
        "unknown to Slurm"
    )


def log_records(folder: Path) -> list[dict[str, Any]]:
    """Return the last records of a training run's log, oldest first."""
    path = folder / "log.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()[-200:] if path.is_file() else []
    records = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def latest(records: list[dict[str, Any]], key: str) -> str:
    """Return the last value of ``key``, as text."""
    values = [record[key] for record in records if isinstance(record.get(key), int | float)]
    return f"{values[-1]:.4g}" if values else "-"


def time_left(records: list[dict[str, Any]]) -> str:
    """Return the time to the last step at the pace of the last records."""
    recent = [record for record in records if "time" in record][-_N_RECENT:]
    if len(recent) < 2 or recent[-1]["step"] == recent[0]["step"]:
        return "-"
    first, last = recent[0], recent[-1]
    pace = (last["time"] - first["time"]) / (last["step"] - first["step"])
    minutes = round(pace * (last["max_steps"] - last["step"]) / 60)
    return f"{minutes // 60} h {minutes % 60:02} min"


def failures(run_dir: Path, rows: list[tuple[str, ...]]) -> list[str]:
    """Return the last lines of the logs of stages that failed."""
    lines = []
    for name, state, *_, log in rows:
        if state.split(" ")[0] in ("whole", "not", "unknown", *ALIVE) or log == "-":
            continue
        printed = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
        # What our commands say of a failure; launchers bury it under traces of their own.
        said = [line for line in printed if line.startswith("error:")][-1:]
        tail = [*said, "…", *printed[-N_TAIL_LINES:]] if said else printed[-N_TAIL_LINES:]
        lines += ["", f"{name}: last lines of {log}", *(f"    {line}" for line in tail)]
    return lines


def table(rows: list[tuple[str, ...]]) -> str:
    """Return aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def main() -> None:
    """Print the table, or cancel."""
    parser = argparse.ArgumentParser(prog="python -m launch.status", description=__doc__)
    parser.add_argument("--config_name", required=True, help="folder of recipes/configs")
    parser.add_argument("--run_dir", type=Path, help="default: runs/<config>")
    parser.add_argument("--cancel", action="store_true", help="end the run's jobs")
    args = parser.parse_args()
    run_dir = args.run_dir or Path("runs") / args.config_name
    if args.cancel:
        alive = [job_id for job_id in read_jobs(run_dir).values() if is_alive(job_id)]
        if alive:
            run_slurm(["scancel", *alive])
        print(f"cancelled: {' '.join(alive) or 'nothing was in the queue'}")
        return
    rows = [stage_row(make_stage(name, args.config_name, run_dir), run_dir) for name in STAGES]
    print("\n".join([table([_HEADER, *rows]), *failures(run_dir, rows)]))


if __name__ == "__main__":
    run_cli(main)
