"""Published results, kept as data in ``published.yaml``."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from rewards.labels import LABELS

WEIGHTED = "weighted"


@dataclass(frozen=True)
class PublishedRow:
    """A row of a published table.

    Attributes:
        method: Name of the method.
        questions: Question bank; None where the source has no such choice.
        source: Where the row stands.
        f1: What its overall F1 is: ``WEIGHTED``, or in words.
        classes: Label -> ``accuracy`` and ``f1`` of the class, per cent; None where not given.
        overall: ``accuracy`` and ``f1``, per cent.
    """

    method: str
    questions: str | None
    source: str
    f1: str
    classes: dict[str, dict[str, float | None]]
    overall: dict[str, float]


@dataclass(frozen=True)
class Published:
    """Published rows and the test set that they are about."""

    data_set: str
    n_real: int
    n_fake: int
    rows: tuple[PublishedRow, ...]


@cache
def published() -> Published:
    """Return the published results."""
    text = Path(__file__).with_name("published.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    about = content["data_set"]
    rows = tuple(
        PublishedRow(
            method=row["method"],
            questions=row["questions"],
            source=content["sources"][row["source"]],
            f1=row["f1"],
            classes={label: row[label] for label in LABELS},
            overall=row["overall"],
        )
        for row in content["rows"]
    )
    return Published(about["name"], about["n_real"], about["n_fake"], rows)
