"""What holds for every test: no network is asked, and the environment is left as it was."""

import os
from collections.abc import Iterator

import pytest

# A hub that cannot be reached would be tried again and again.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")


@pytest.fixture(autouse=True)
def environment_is_left_as_it_was() -> Iterator[None]:
    """Take back what recipes set that run in this process, such as wandb's folder and run."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
