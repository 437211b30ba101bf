"""Predictions files: one JSON object a line."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.errors import UserError
from rewards.labels import check_label, check_question_bank


@dataclass(frozen=True)
class Prediction:
    """What a model answered to one image under one bank.

    Attributes:
        id: The row's id.
        label: Gold label, one of ``LABELS``.
        question_bank: One of ``ALL_BANKS``.
        completion: The generated text.
        n_completion_tokens: Generated tokens, the end-of-turn token included.
        source: Where the image comes from; None if not given.
        generator: What made the image; None if not given.
        category: The image's class within its set; None if not given.
        question: The question that was asked; None if not given.
        p_fake: Probability of "fake" against "real" at the verdict token, in [0, 1]; None if not
            measured.
        width: Of the image, in pixels; None if not given.
        height: Likewise.
        reference: The data set's own explanation of the image; None where it has none.
    """

    id: str
    label: str
    question_bank: str
    completion: str
    n_completion_tokens: int
    source: str | None = None
    generator: str | None = None
    category: str | None = None
    question: str | None = None
    p_fake: float | None = None
    width: int | None = None
    height: int | None = None
    reference: str | None = None


_REQUIRED = ("id", "label", "question_bank", "completion", "n_completion_tokens")
_OPTIONAL_TEXT = ("source", "generator", "category", "question", "reference")
_OPTIONAL = (*_OPTIONAL_TEXT, "p_fake", "width", "height")


def read_predictions(path: str | Path) -> list[Prediction]:
    """Read a predictions file; keys that are not known and empty lines are passed over.

    Raises:
        UserError: The file is missing, not text, or holds no prediction; a line is not a JSON
            object, lacks a key or holds a value of the wrong kind; two lines share id and bank, or
            share the id and disagree on the label.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no predictions file {path}; `make eval` writes one.")
    predictions: list[Prediction] = []
    line_of: dict[tuple[str, str], int] = {}
    label_of: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    where = f"{path}, line {number}"
                    prediction = parse_line(line, where)
                    _check_against(prediction, line_of, label_of, where)
                    line_of[prediction.id, prediction.question_bank] = number
                    label_of[prediction.id] = prediction.label
                    predictions.append(prediction)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; expected one JSON object a line.") from error
    if not predictions:
        raise UserError(f"predictions file {path} is empty; run the evaluation again.")
    return predictions


def parse_line(line: str, where: str) -> Prediction:
    """Read one line of a predictions file; ``where`` names it in errors.

    Raises:
        UserError: See ``read_predictions``.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{where} is not JSON ({error}): {line.strip()[:60]!r}. Expected one JSON object a "
            "line; was the file cut?"
        ) from error
    if not isinstance(record, dict):
        raise UserError(f"{where} holds {line.strip()[:60]!r}; expected a JSON object.")
    missing = [key for key in _REQUIRED if key not in record]
    if missing:
        raise UserError(
            f"{where} lacks {missing} and has {sorted(record)}; expected {list(_REQUIRED)} and, "
            f"if known, {list(_OPTIONAL)}."
        )
    _check_values(record, where)
    known = {key: record[key] for key in (*_REQUIRED, *_OPTIONAL) if key in record}
    return Prediction(**{**known, "id": str(record["id"])})


def format_lines(predictions: Iterable[Prediction]) -> str:
    """Return the text of a predictions file."""
    return "".join(json.dumps(vars(item)) + "\n" for item in predictions)


def _check_values(record: Mapping[str, Any], where: str) -> None:
    try:
        check_label(record["label"])
        check_question_bank(record["question_bank"])
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    if not isinstance(record["completion"], str):
        raise UserError(f"{where}: completion is {record['completion']!r}; expected a string.")
    n_tokens = record["n_completion_tokens"]
    if type(n_tokens) is not int or not 0 <= n_tokens < 2**31:
        raise UserError(f"{where}: n_completion_tokens is {n_tokens!r}; expected a count.")
    if isinstance(record["id"], bool) or not isinstance(record["id"], str | int):
        raise UserError(f"{where}: id is {record['id']!r}; expected a string.")
    for key in _OPTIONAL_TEXT:
        if not isinstance(record.get(key), str | None):
            raise UserError(f"{where}: {key} is {record[key]!r}; expected a string or no key.")
    p_fake = record.get("p_fake")
    is_number = isinstance(p_fake, int | float) and not isinstance(p_fake, bool)
    if p_fake is not None and not (is_number and 0 <= p_fake <= 1):
        raise UserError(f"{where}: p_fake is {p_fake!r}; expected a probability or no key.")
    for key in ("width", "height"):
        pixels = record.get(key)
        if pixels is not None and (type(pixels) is not int or pixels < 1):
            raise UserError(f"{where}: {key} is {pixels!r}; expected pixels or no key.")


def _check_against(
    prediction: Prediction,
    line_of: Mapping[tuple[str, str], int],
    label_of: Mapping[str, str],
    where: str,
) -> None:
    """Check ``prediction`` against the lines before it."""
    earlier = line_of.get((prediction.id, prediction.question_bank))
    if earlier is not None:
        raise UserError(
            f"{where}: id {prediction.id!r} under bank {prediction.question_bank!r} already stands "
            f"in line {earlier}; expected each pair once. Remove one of the two."
        )
    label = label_of.get(prediction.id, prediction.label)
    if label != prediction.label:
        raise UserError(
            f"{where}: id {prediction.id!r} is labelled {prediction.label!r} here and {label!r} "
            "before; expected one label an id. Give different images different ids."
        )
