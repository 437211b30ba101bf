"""Files with several samples a row: ``samples.jsonl``, and pass rates as the filter writes them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.errors import UserError
from rewards.labels import check_label, check_question_bank


@dataclass(frozen=True)
class SampledRow:
    """A row's samples.

    Attributes:
        id: The row's id.
        question_bank: Bank of its question.
        label: Gold label.
        completions: K texts, K at least 1.
        n_completion_tokens: Their lengths, K numbers.
    """

    id: str
    question_bank: str
    label: str
    completions: list[str]
    n_completion_tokens: list[int]


def read_samples(path: str | Path) -> list[SampledRow]:
    """Read ``samples.jsonl``.

    Raises:
        UserError: A line lacks a key, holds a value of the wrong kind or repeats a row.
    """
    rows: list[SampledRow] = []
    seen: set[tuple[str, str]] = set()
    for where, record in _records(Path(path), SampledRow.__annotations__):
        try:
            check_label(record["label"])
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        completions, lengths = record["completions"], record["n_completion_tokens"]
        if not (
            isinstance(completions, list)
            and isinstance(lengths, list)
            and len(completions) == len(lengths) > 0
            and all(isinstance(text, str) for text in completions)
            and all(type(n) is int and n >= 0 for n in lengths)
        ):
            raise UserError(
                f"{where}: expected completions and n_completion_tokens as two lists of the same "
                "length, at least 1, of texts and of counts."
            )
        key = (str(record["id"]), record["question_bank"])
        _check_new(key, seen, where)
        rows.append(SampledRow(*key, record["label"], completions, lengths))
    if not rows:
        raise UserError(f"samples file {path} is empty; remove it or sample again.")
    return rows


def read_pass_rates(path: str | Path) -> dict[tuple[str, str], tuple[int, int]]:
    """Read ``pass_rates.jsonl`` of ``make filter``: id and bank -> right answers, samples.

    Raises:
        UserError: A line lacks a key, holds impossible counts or repeats a row.
    """
    rates: dict[tuple[str, str], tuple[int, int]] = {}
    seen: set[tuple[str, str]] = set()
    for where, record in _records(Path(path), ("id", "question_bank", "n_correct", "n_samples")):
        n_correct, n_samples = record["n_correct"], record["n_samples"]
        if not (type(n_correct) is type(n_samples) is int and 0 <= n_correct <= n_samples > 0):
            raise UserError(
                f"{where}: n_correct is {n_correct!r} and n_samples {n_samples!r}; expected "
                "0 <= n_correct <= n_samples and n_samples > 0."
            )
        key = (str(record["id"]), record["question_bank"])
        _check_new(key, seen, where)
        rates[key] = (n_correct, n_samples)
    return rates


def _records(path: Path, keys: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where a line stands and its object, which has ``keys`` and a known bank."""
    if not path.is_file():
        raise UserError(f"there is no file {path}; expected one JSON object a line.")
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{where} is not JSON ({error}); was the file cut?") from error
            missing = [key for key in keys if not isinstance(record, dict) or key not in record]
            if missing:
                raise UserError(f"{where} lacks {missing}; expected {list(keys)}.")
            try:
                check_question_bank(record["question_bank"])
            except UserError as error:
                raise UserError(f"{where}: {error}") from error
            yield where, record


def _check_new(key: tuple[str, str], seen: set[tuple[str, str]], where: str) -> None:
    if key in seen:
        raise UserError(
            f"{where}: id {key[0]!r} under bank {key[1]!r} stands in an earlier line already; "
            "expected each pair once."
        )
    seen.add(key)
