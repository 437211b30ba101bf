"""The jobs of a run: ``<run>/jobs.json`` keeps their numbers, Slurm knows how they fare."""

import json
import re
import subprocess
from pathlib import Path

from rewards.errors import UserError
from rewards.files import write_json

ALIVE = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "RESIZING")


def read_jobs(run_dir: Path) -> dict[str, str]:
    """Return the number of each part's last job, by part, in the order of submission."""
    path = run_dir / "jobs.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def remember_job(run_dir: Path, part: str, job_id: str) -> None:
    """Note the job of a part of the pipeline."""
    jobs = read_jobs(run_dir)
    jobs.pop(part, None)
    write_json(run_dir / "jobs.json", {**jobs, part: job_id})


def run_slurm(command: list[str]) -> str:
    """Run one of Slurm's programs and return what it printed.

    Raises:
        UserError: It is not installed or refused.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise UserError(
            f"{command[0]} is not on this machine: LAUNCH=slurm works on a login node of a Slurm "
            "cluster. Without Slurm, see launch/README.md for plain accelerate lines."
        ) from error
    if done.returncode:
        raise UserError(f"{command[0]} refused: {' '.join(done.stderr.split())}")
    return done.stdout.strip()


def job_states(job_id: str) -> list[dict[str, str]]:
    """Return what Slurm knows of a job, one mapping a task of an array; empty if it forgot it.

    From ``scontrol``, which every cluster has; it forgets a job some minutes after its end, then
    ``sacct`` is asked where there is an accounting data base.
    """
    shown = subprocess.run(
        ["scontrol", "-o", "show", "job", job_id], capture_output=True, text=True
    )
    if shown.returncode == 0 and shown.stdout.strip():
        return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in shown.stdout.splitlines()]
    fields = ["JobID", "State", "ExitCode"]
    shown = subprocess.run(
        ["sacct", "-nXP", "-j", job_id, "-o", ",".join(fields)], capture_output=True, text=True
    )
    rows = [line.split("|") for line in shown.stdout.splitlines()] if not shown.returncode else []
    return [
        {"JobId": row[0], "JobState": row[1].split()[0], "ExitCode": row[2]}
        for row in rows
        if len(row) == len(fields)
    ]


def is_alive(job_id: str) -> bool:
    """Return whether any task of the job waits or runs."""
    return any(state.get("JobState") in ALIVE for state in job_states(job_id))
