"""The site's settings: ``launch/site.env``, read for submitting; the jobs source the same file."""

import os
from pathlib import Path

from dotenv import dotenv_values

from rewards.errors import UserError

SITE_FILE = Path("launch/site.env")
EXAMPLE_FILE = Path("launch/site.env.example")
_NUMBERS = ("SITE_GPUS_PER_NODE", "SITE_CPUS_PER_GPU", "SITE_SIGNAL_SECONDS", "SITE_MAX_REQUEUES")


def read_site(path: Path = SITE_FILE) -> dict[str, str]:
    """Return the settings: the example's values, over them the site's, over them the environment's.

    Raises:
        UserError: A ``SITE_`` key is unknown or a number is none.
    """
    known = _read(EXAMPLE_FILE)
    given = _read(path) if path.is_file() else {}
    unknown = [key for key in given if key.startswith("SITE_") and key not in known]
    if unknown:
        raise UserError(f"{path} has unknown keys {unknown}; {EXAMPLE_FILE} lists those there are.")
    settings = {**known, **{key: value for key, value in given.items() if value}}
    settings |= {key: os.environ[key] for key in known if os.environ.get(key)}
    for key in _NUMBERS:
        if not settings[key].isdigit():
            raise UserError(f"{path}: {key} is {settings[key]!r}; expected a whole number.")
    return settings


def _read(path: Path) -> dict[str, str]:
    return {key: value or "" for key, value in dotenv_values(path).items()}
