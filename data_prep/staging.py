"""A data set on a node's own disk: copied there once, whole or not at all.

    python -m data_prep.staging data/demo/sft       with FAKE_HR1_STAGE_DATA=/scratch/fake-hr1-data

``load_rows`` reads from there. The copy is named by the hash of the card, which holds a hash of
every byte and of the rows' manifest: a data set that is built again is copied again.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import sys
from pathlib import Path

from rewards.errors import UserError, run_cli

VARIABLE = "FAKE_HR1_STAGE_DATA"


def staged(path: str | Path) -> Path | str:
    """Return where to read the data set at ``path`` from; copy it there first where that is needed.

    Processes of a node wait for the one that copies. Without ``FAKE_HR1_STAGE_DATA``, for a hub id
    and for a folder without a card, ``path`` itself.

    Raises:
        UserError: The disk has no room for it.
    """
    root, folder = os.environ.get(VARIABLE), Path(path)
    card = folder / "README.md"
    if not root or not card.is_file():
        return path
    key = hashlib.sha256(card.read_bytes()).hexdigest()[:16]
    target = Path(root) / f"{folder.name}-{key}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            _copy(folder, target)
    return target


def _copy(folder: Path, target: Path) -> None:
    building = target.with_name(f".{target.name}.building")
    shutil.rmtree(building, ignore_errors=True)  # of a copy that was killed
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    free = shutil.disk_usage(target.parent).free
    if size > free:
        raise UserError(
            f"data set {folder} has {size / 2**30:.1f} GiB, and {target.parent} has "
            f"{free / 2**30:.1f} GiB free. Make room, or set SITE_STAGE_DATA= in launch/site.env."
        )
    shutil.copytree(folder, building)
    os.rename(building, target)
    sys.stdout.write(f"{folder} copied to {target}\n")


def main() -> None:
    """Copy the data sets that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.staging", description=__doc__)
    parser.add_argument("folders", nargs="+", help="data sets; hub ids are left alone")
    args = parser.parse_args()
    if not os.environ.get(VARIABLE):
        raise UserError(f"{VARIABLE} is not set: it names the folder on the node's own disk.")
    for path in args.folders:
        staged(path)


if __name__ == "__main__":
    run_cli(main)
