"""Put a finished folder in its place."""

import os
import shutil
from pathlib import Path


def replace_folder(new: Path, target: Path) -> None:
    """Put ``new`` in the place of ``target``."""
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)
