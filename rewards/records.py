"""Predictions files: one JSON object a line."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rewards.answer_format import LABELS, QUESTION_BANKS
from rewards.errors import UserError


@dataclass(frozen=True)
class Prediction:
    """What a model answered to one image under one bank.

    Attributes:
        id: The row's id.
        label: Gold label.
        question_bank: "simple" or "hard".
        completion: The generated text.
        n_completion_tokens: Generated tokens, the end-of-turn token included.
        source: Where the image comes from; None if not given.
        generator: What made the image; None if not given.
        category: The image's class within its set; None if not given.
    """

    id: str
    label: str
    question_bank: str
    completion: str
    n_completion_tokens: int
    source: str | None = None
    generator: str | None = None
    category: str | None = None


_REQUIRED = ("id", "label", "question_bank", "completion", "n_completion_tokens")
_OPTIONAL = ("source", "generator", "category")


def read_predictions(path: str | Path) -> list[Prediction]:
    """Read a predictions file.

    Raises:
        UserError: The file is missing or empty; a line is not a JSON object, lacks a key or holds an
            unknown label or bank; the same id and bank are there twice.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"predictions file {path} does not exist; `make eval` writes one.")
    predictions: list[Prediction] = []
    seen: dict[tuple[str, str], int] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            prediction = _parse_line(line, f"{path}, line {number}")
            key = (prediction.id, prediction.question_bank)
            if key in seen:
                raise UserError(
                    f"{path}, line {number}: id {key[0]!r} under bank {key[1]!r} was already in line "
                    f"{seen[key]}; remove one of the two."
                )
            seen[key] = number
            predictions.append(prediction)
    if not predictions:
        raise UserError(f"predictions file {path} has no predictions; run the evaluation again.")
    return predictions


def _parse_line(line: str, where: str) -> Prediction:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{where} is not JSON ({error.msg} at column {error.colno}): {line.strip()[:60]!r}. "
            "Expected one JSON object a line; was the file cut?"
        ) from error
    if not isinstance(record, dict):
        raise UserError(f"{where} is a {type(record).__name__}; expected a JSON object.")
    missing = [key for key in _REQUIRED if key not in record]
    if missing:
        raise UserError(f"{where} lacks {missing}; it has {sorted(record)}.")
    for key, allowed in (("label", LABELS), ("question_bank", QUESTION_BANKS)):
        if record[key] not in allowed:
            raise UserError(f"{where}: {key} is {record[key]!r}; expected one of {list(allowed)}.")
    if not isinstance(record["completion"], str):
        raise UserError(f"{where}: completion is {record['completion']!r}; expected a string.")
    n_tokens = record["n_completion_tokens"]
    if isinstance(n_tokens, bool) or not isinstance(n_tokens, int | float) or n_tokens < 0:
        raise UserError(f"{where}: n_completion_tokens is {n_tokens!r}; expected a count.")
    known = {key: record[key] for key in (*_REQUIRED, *_OPTIONAL) if key in record}
    return Prediction(**{**known, "id": str(record["id"])})


def dump_line(prediction: Prediction) -> str:
    """Return the line of a predictions file for ``prediction``, with its line break."""
    return json.dumps(vars(prediction), ensure_ascii=False) + "\n"


def dump_lines(predictions: Iterable[Prediction]) -> str:
    """Return a whole predictions file."""
    return "".join(map(dump_line, predictions))
