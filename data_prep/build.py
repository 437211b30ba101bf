"""Build a data set folder from published data sets on the disk.

    plan        every reader's items, ordered and cut into shards (``data_prep.plan``)
    shards      written by all cores, each whole or not at all (``data_prep.shards``)
    finish      dropped.jsonl, build.json, card, audit; then one rename to the folder's name

All of it happens in ``.NAME.building`` beside the folder: ``set/`` is what will be the folder, the
rest is thrown away. Killed at any point and started again, the same command makes the plan again,
sees by its hash that it is the same, and goes on with the shards that are missing; the bytes are
those of an undisturbed run, whatever the number of processes.
"""

import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from data_prep.build_audit import audit, check_against
from data_prep.finish import finish
from data_prep.folders import replace_folder
from data_prep.plan import Plan, make_plan
from data_prep.settings import BuildRequest
from data_prep.shards import plan_shards
from data_prep.sources import READERS
from data_prep.workers import start_server, write_shards
from rewards.errors import UserError
from rewards.files import write_json

FOLDERS = ("set/data", "set/measurements", "parts", "tmp")
# What SQLite, which holds the plan, calls a disk that is full, fails or may not be written.
DISK_FAULTS = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)


def build(request: BuildRequest) -> Path:
    """Build the folder, or go on with it; return its path.

    Raises:
        UserError: The input cannot serve, the output folder holds something else, or it cannot be
            written.
    """
    output_dir = request.output_dir
    check_output(output_dir, request.overwrite)
    check_against(request.against)
    if request.num_proc > 1:
        start_server()
    building = output_dir.with_name(f".{output_dir.name}.building")
    with _opened(building):
        plan = _plan(building, request)
        if _is_built(output_dir, plan):
            print(f"{output_dir} is this very data set already (plan {plan.hash}); nothing to do.")
            return output_dir
        if output_dir.exists() and not request.overwrite:
            raise UserError(
                f"{output_dir} holds another data set; give another --output_dir, or --overwrite "
                "to replace it."
            )
        settings = request.settings
        shards = plan_shards(settings.split, plan.n_rows, settings.rows_per_shard)
        unit = "shard" if len(shards) == 1 else "shards"
        print(
            f"{plan.n_rows:,} rows in {len(shards)} {unit}, {request.num_proc} processes, check "
            f"{settings.check}, images as {settings.image_storage} -> {output_dir}",
            flush=True,
        )
        write_shards(building, plan.path, shards, settings, request.num_proc)
        with _writing(building):
            line = finish(building, plan, shards, request)
            if request.audit:
                again = partial(finish, building, plan, shards, request)
                line = audit(building, plan, shards, request, again) or line
            print(line, flush=True)
            replace_folder(building / "set", output_dir)
    return output_dir


def check_output(output_dir: Path, overwrite: bool) -> None:
    """Refuse, before anything is read, a folder that this command did not make."""
    if output_dir.is_symlink() or (output_dir.exists() and not output_dir.is_dir()):
        raise UserError(f"{output_dir} is not a folder; give another --output_dir.")
    if output_dir.is_dir() and not any(output_dir.iterdir()):
        return
    if output_dir.is_dir() and not overwrite and not (output_dir / "build.json").is_file():
        raise UserError(
            f"{output_dir} holds files that no build made; give another --output_dir, or "
            "--overwrite to replace the folder."
        )


def _is_built(output_dir: Path, plan: Plan) -> bool:
    record = output_dir / "build.json"
    if not record.is_file():
        return False
    return json.loads(record.read_text(encoding="utf-8")).get("plan_hash") == plan.hash


def _has_shards(building: Path) -> bool:
    data = building / "set" / "data"
    return data.is_dir() and any(data.iterdir())


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        # The low byte of SQLite's code says what kind of fault it is.
        if isinstance(error, OSError):
            reason = error.strerror or error
        elif error.sqlite_errorcode & 0xFF in DISK_FAULTS:
            reason = error
        else:
            raise
        raise UserError(
            f"writing to {folder} failed: {reason}. Free some space or mend the folder; what is "
            "finished is kept, and the same command goes on from it."
        ) from error


@contextmanager
def _opened(building: Path) -> Iterator[None]:
    """Make the building folder and keep any other build out of it."""
    with _writing(building):
        for name in FOLDERS:
            (building / name).mkdir(parents=True, exist_ok=True)
        lock = (building / "lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"another process builds in {building}; wait until it ends.") from error
        for left_over in (building / "tmp").iterdir():
            left_over.unlink()
        try:
            yield
        finally:
            if not _has_shards(building):  # nothing yet, or all of it moved away
                shutil.rmtree(building, ignore_errors=True)


def _plan(building: Path, request: BuildRequest) -> Plan:
    """Make the plan; throw away, or refuse to, what was built by another one."""
    origins = [
        (
            f"--{source.name} {source.root}",
            READERS[source.name](source.root, source.split, **source.options),
        )
        for source in request.sources
    ]
    fresh = building / "plan.new.sqlite"
    with _writing(building):
        plan = make_plan(fresh, origins, request.settings)
    record = building / "plan.json"
    earlier = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else None
    if earlier and earlier["plan_hash"] != plan.hash and _has_shards(building):
        if not request.overwrite:
            raise UserError(
                f"{building} holds an unfinished build of other rows or settings, made by "
                f"`{earlier['command']}`. Give that command to go on with it, or --overwrite to "
                "throw it away."
            )
        (building / "leaks.json").unlink(missing_ok=True)
        for name in FOLDERS:
            shutil.rmtree(building / name)
            (building / name).mkdir()
    elif earlier and _has_shards(building):
        print(f"going on with {building}", flush=True)
    write_json(record, {"plan_hash": plan.hash, "command": request.command})
    path = building / "plan.sqlite"
    os.replace(fresh, path)
    return plan._replace(path=path)
