"""Run command lines in order, each once: what is complete and unchanged is passed over.

``<folder>/stages.json`` keeps, for each stage, the fingerprint of what it was made from, whether it
ended, and the seconds it took.
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.files import write_json

N_TAIL_LINES = 25


@dataclass(frozen=True)
class Stage:
    """One command line.

    Attributes:
        name: Unique; names the log file.
        command: Program and arguments.
        inputs: Files and folders outside the run whose content decides the result.
        needs: Names of earlier stages whose results this one reads.
        last_file: What the command writes last, whole or not at all.
        restart: Arguments that make the command throw away what an earlier configuration left.
    """

    name: str
    command: tuple[str, ...]
    inputs: tuple[Path, ...]
    needs: tuple[str, ...]
    last_file: Path
    restart: tuple[str, ...] = ("--restart", "true")


def fingerprint_files(paths: Sequence[Path]) -> str:
    """Return a hash of the files' names and bytes; a folder stands for all files in it."""
    digest = hashlib.sha256()
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            digest.update(str(file.relative_to(path.parent)).encode())
            digest.update(file.read_bytes() if file.is_file() else b"missing")
    return digest.hexdigest()[:16]


class StageRunner:
    """Runs stages and remembers them."""

    def __init__(self, folder: Path, stages: Sequence[Stage]) -> None:
        """Read what earlier runs left in ``folder``."""
        self.folder, self.stages = folder, stages
        self._file = folder / "stages.json"
        self.records: dict[str, dict[str, Any]] = {}
        if self._file.is_file():
            self.records = json.loads(self._file.read_text(encoding="utf-8"))
        self._fingerprints: dict[str, str] = {}
        for stage in stages:
            parts = [*stage.command, fingerprint_files(stage.inputs)]
            parts += [self._fingerprints[name] for name in stage.needs]
            digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
            self._fingerprints[stage.name] = digest[:16]

    def state(self, stage: Stage) -> str:
        """Return "complete", "goes on" (it was cut off), "again" (something changed) or "new"."""
        record = self.records.get(stage.name)
        if record is None:
            return "again" if stage.last_file.exists() else "new"
        if record["fingerprint"] != self._fingerprints[stage.name]:
            return "again"
        if any(self.state(s) != "complete" for s in self.stages if s.name in stage.needs):
            return "again"
        return "complete" if record["ended"] and stage.last_file.exists() else "goes on"

    def run(self, stage: Stage) -> None:
        """Run one stage, unless it is complete.

        Raises:
            SystemExit: The command failed; its last lines were printed.
        """
        state = self.state(stage)
        if state == "complete":
            print(f"== {stage.name}: complete, passed over", flush=True)
            return
        command = [*stage.command, *(stage.restart if state == "again" else ())]
        print(f"== {stage.name} ({state}): {shlex.join(command)}", flush=True)
        before = self.records.get(stage.name, {}).get("seconds", 0.0) if state == "goes on" else 0.0
        self._remember(stage, ended=False, seconds=before)
        log = self.folder / "logs" / f"{stage.name}.log"
        start = time.monotonic()
        status = run_logged(command, log)
        seconds = before + time.monotonic() - start
        self._remember(stage, ended=status == 0, seconds=seconds)
        if status == 0 and stage.last_file.exists():
            print(f"== {stage.name}: {seconds:.0f} s", flush=True)
            return
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-N_TAIL_LINES:]
        sys.stderr.write("\n".join(lines) + "\n")
        if status == 0:
            sys.stderr.write(f"error: stage {stage.name} ended without {stage.last_file}.\n")
            sys.exit(1)
        sys.stderr.write(
            f"error: stage {stage.name} failed with exit status {status}; its last lines stand "
            f"above, all of them in {log}. The same command goes on from here.\n"
        )
        sys.exit(status)

    def _remember(self, stage: Stage, *, ended: bool, seconds: float) -> None:
        self.records[stage.name] = {
            "fingerprint": self._fingerprints[stage.name],
            "ended": ended,
            "seconds": round(seconds, 1),
        }
        write_json(self._file, self.records)
        times = {name: record["seconds"] for name, record in self.records.items()}
        write_json(self.folder / "times.json", {**times, "total": round(sum(times.values()), 1)})


def run_logged(command: Sequence[str], log: Path) -> int:
    """Run ``command``, copying what it prints to the terminal and to ``log``; return its status."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with (
        log.open("wb") as file,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        ) as process,
    ):
        assert process.stdout is not None  # stdout=PIPE gives one
        while chunk := os.read(process.stdout.fileno(), 65536):
            file.write(chunk)
            sys.stdout.write(chunk.decode(errors="replace"))
            sys.stdout.flush()
    # A command killed by signal n has status -n; shells say 128 + n.
    return process.returncode if process.returncode >= 0 else 128 - process.returncode
