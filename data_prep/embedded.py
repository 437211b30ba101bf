"""The embedded image set (``data_prep/embedded``) as the demo's three data sets.

* ``sft``: every training image once. Half of the images are direct rows (simple bank), the part
  that
  GenImage plays in the paper; half are reasoning rows (hard bank), the part of FakeClue, with an
  explanation from the image's measured statistics. Split ``validation`` has the validation images.
* ``rl``: the images of the reasoning half, with a question from either bank: the filter's input.
* ``test``: the test images, each once; evaluation asks both banks.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datasets import Dataset
from PIL import Image

from data_prep.image_statistics import describe, levels, measure, usual_ranges
from data_prep.prompts import Prompts, stable_integer
from data_prep.rows import ROW_FEATURES, make_row
from rewards import QUESTION_BANKS
from rewards.errors import UserError

EMBEDDED_DIR = Path(__file__).parent / "embedded"
SPLITS = ("train", "validation", "test")


def read_images(split: str) -> list[dict[str, Any]]:
    """Return the images of a split: id, image (bytes), label, photograph, generator, category.

    Raises:
        UserError: ``split`` is none of ``SPLITS``.
    """
    if split not in SPLITS:
        raise UserError(f"the embedded set has no split {split!r}; expected one of {SPLITS}.")
    return pq.read_table(EMBEDDED_DIR / f"{split}.parquet").to_pylist()


def decode(row: dict[str, Any]) -> Image.Image:
    """Return the image of a row of ``read_images``."""
    return Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")


def photograph_ranges() -> dict[str, tuple[float, float]]:
    """Return what is usual among the real crops of the training photographs."""
    reals = (row for row in read_images("train") if row["label"] == "real")
    return usual_ranges(measure(decode(row)) for row in reals)


def reasoning_of(row: dict[str, Any], ranges: dict[str, tuple[float, float]]) -> str:
    """Return the explanation of an image: its statistics, in words; blind to the label."""
    return describe(levels(measure(decode(row)), ranges))


def bank_of(row: dict[str, Any], seed: int) -> str:
    """Return the bank of an image: half of each photograph's crops simple, half hard.

    A real crop and the fake made of it draw apart, so that a bank does not tell one by the other.
    """
    return QUESTION_BANKS[stable_integer(f"{seed}/bank/{row['id']}") % 2]


def demo_datasets(prompts: Prompts, seed: int) -> dict[str, dict[str, Dataset]]:
    """Return the demo's data sets: ``{"sft": {split: rows}, "rl": …, "test": …}``."""
    ranges = photograph_ranges()

    def rows(split: str, *, rl: bool = False) -> Iterator[dict[str, Any]]:
        for row in read_images(split):
            bank = bank_of(row, seed)
            if rl and bank == "simple":
                continue
            if rl:
                bank = QUESTION_BANKS[stable_integer(f"{seed}/rl/{row['id']}") % 2]
            yield make_row(
                row_id=row["id"],
                image=row["image"],
                label=row["label"],
                question_bank=bank,
                reasoning=reasoning_of(row, ranges),
                source=row["photograph"],
                generator=row["generator"],
                category=row["category"],
                prompts=prompts,
                seed=seed,
            )

    def dataset(split: str, *, rl: bool = False) -> Dataset:
        return Dataset.from_list(list(rows(split, rl=rl)), features=ROW_FEATURES)

    return {
        "sft": {"train": dataset("train"), "validation": dataset("validation")},
        "rl": {"train": dataset("train", rl=True)},
        "test": {"test": dataset("test")},
    }
