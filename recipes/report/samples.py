"""The answers as the page's browser of samples holds them: columns, each text once, compact."""

import base64
import json
import re
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from recipes.report.evaluation import Evaluation
from rewards.blocks import CLOSE_TAG, OPEN_TAG
from rewards.labels import ALL_BANKS, LABELS
from rewards.records import Prediction

IMAGES_A_BLOCK = 240  # ten pages of the browser: a page parses one block of thumbnails, or two
_BLOCK = re.compile(rf"({OPEN_TAG}.*?(?:{CLOSE_TAG}|\Z))", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


def segments(completion: str) -> list[str]:
    """Return ``completion`` cut at its think blocks: outside, block, outside, and so on.

    Blocks are those of ``rewards.blocks.split_blocks``, tags included; joined, the parts are the
    completion again.
    """
    return _BLOCK.split(completion)


class Numbered:
    """Gives each value that it meets a number; None is -1."""

    def __init__(self) -> None:
        """Begin with no value."""
        self.values: dict[str, int] = {}

    def __call__(self, value: str | None) -> int:
        """Return the number of ``value``."""
        return -1 if value is None else self.values.setdefault(value, len(self.values))


def sample_data(runs: Sequence[Evaluation]) -> dict[str, Any]:
    """Return what the browser of samples reads.

    Args:
        runs: The evaluations, the report's own first.

    Returns:
        ``runs``, ``banks``, ``labels``: names. ``dictionaries``: for each text column its values.
        ``images``: columns with one entry for each image. ``answers``: columns with one entry for
        each answer; ``image`` and ``question`` are numbers, ``verdict`` an index into ``labels`` or
        one past it (unparsed), ``completion`` the parts of ``segments``.
    """
    images = images_of(runs)
    number = {image.id: i for i, image in enumerate(images)}
    dictionaries = {key: Numbered() for key in ("source", "generator", "category", "question")}
    about: dict[str, list[Any]] = {
        "id": [image.id for image in images],
        "label": [LABELS.index(image.label) for image in images],
        "width": [image.width for image in images],
        "height": [image.height for image in images],
        "reference": [image.reference for image in images],
    }
    for key in ("source", "generator", "category"):
        about[key] = [dictionaries[key](getattr(image, key)) for image in images]
    rows = [(i, p) for i, run in enumerate(runs) for p in run.predictions]
    answers = {
        "run": [i for i, _ in rows],
        "image": [number[p.id] for _, p in rows],
        "bank": [ALL_BANKS.index(p.question_bank) for _, p in rows],
        "question": [dictionaries["question"](p.question) for _, p in rows],
        "tokens": [p.n_completion_tokens for _, p in rows],
        "p_fake": [None if p.p_fake is None else round(p.p_fake, 4) for _, p in rows],
        "verdict": [int(v) for run in runs for v in run.judged.verdict],
        "thinking": [int(v) for run in runs for v in run.judged.thinking],
        "well_formed": [int(v) for run in runs for v in run.judged.well_formed],
        "looped": [int(v) for run in runs for v in run.judged.repeats],
        "completion": [segments(p.completion) for _, p in rows],
    }
    return {
        "runs": [run.name for run in runs],
        "banks": list(ALL_BANKS),
        "labels": list(LABELS),
        "dictionaries": {key: list(numbered.values) for key, numbered in dictionaries.items()},
        "images": about,
        "answers": answers,
        "images_a_block": IMAGES_A_BLOCK,
    }


def images_of(runs: Sequence[Evaluation]) -> list[Prediction]:
    """Return the first prediction of each image, in the order in which they come up."""
    first: dict[str, Prediction] = {}
    for run in runs:
        for prediction in run.predictions:
            first.setdefault(prediction.id, prediction)
    return list(first.values())


def thumbnail_blocks(runs: Sequence[Evaluation]) -> list[list[str | None]]:
    """Return the thumbnails of ``images_of`` in base64, ``IMAGES_A_BLOCK`` a block; none: empty."""
    thumbnails = {k: v for run in reversed(runs) for k, v in run.thumbnails.items()}
    if not thumbnails:
        return []
    encoded = [encode(thumbnails.get(image.id)) for image in images_of(runs)]
    starts = range(0, len(encoded), IMAGES_A_BLOCK)
    return [encoded[start : start + IMAGES_A_BLOCK] for start in starts]


def encode(webp: bytes | None) -> str | None:
    """Return an image in base64."""
    return None if webp is None else base64.b64encode(webp).decode("ascii")


def script_json(content: Any) -> Markup:
    """Return JSON that can stand in a script element: no text in it can end or change the element.

    Half a surrogate pair, which a predictions file can hold and UTF-8 cannot, stays an escape.
    """
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c")
    return Markup(_SURROGATE.sub(lambda half: f"\\u{ord(half.group()):04x}", text))
