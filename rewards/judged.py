"""Predictions, judged once and held as columns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from rewards.blocks import OPEN_TAG
from rewards.errors import UserError
from rewards.labels import LABELS, check_label
from rewards.records import Prediction
from rewards.repetition import repeats
from rewards.scoring import score_completion

BOOTSTRAP_UNITS = ("source", "id")
UNPARSED = len(LABELS)  # index of the third predicted value, which no image has as its label


@dataclass(frozen=True)
class Judged:
    """Judged predictions: arrays with one entry for each of n predictions.

    Attributes:
        id: The row's id.
        question_bank: Name of the bank.
        label: Gold label as an index into ``LABELS``.
        verdict: Predicted label likewise; ``UNPARSED`` for none.
        well_formed: Whether the completion has exactly the answer format.
        thinking: Whether the completion reasons.
        hidden_thinking: Whether it does so outside of a think block that is there and empty.
        repeats: Whether it repeats itself, see ``rewards.repetition.repeats``.
        n_tokens: Completion length in tokens.
        p_fake: Probability of "fake" at the verdict token; NaN where it was not measured.
        unit: Number of what the bootstrap draws together: the source of each, or its id.
        unit_name: Which of ``BOOTSTRAP_UNITS`` that is.
    """

    id: np.ndarray
    question_bank: np.ndarray
    label: np.ndarray
    verdict: np.ndarray
    well_formed: np.ndarray
    thinking: np.ndarray
    hidden_thinking: np.ndarray
    repeats: np.ndarray
    n_tokens: np.ndarray
    p_fake: np.ndarray
    unit: np.ndarray
    unit_name: str

    def select(self, rows: np.ndarray) -> "Judged":
        """Return the predictions at ``rows``, a mask or indices."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        columns = {k: v[rows] for k, v in values.items() if isinstance(v, np.ndarray)}
        return Judged(**{**values, **columns})


def judge(predictions: Sequence[Prediction], bootstrap_unit: str | None = None) -> Judged:
    """Score every completion.

    Args:
        predictions: What a model answered; at least one.
        bootstrap_unit: See ``choose_unit``.

    Raises:
        UserError: There are no predictions, a label is unknown, or a source is missing.
    """
    if not predictions:
        raise UserError("there are no predictions to score; expected at least one.")
    unit_name = choose_unit(predictions, bootstrap_unit)
    for prediction in predictions:
        check_label(prediction.label)
    # Direct answers are the same few texts over and over: each text is read once.
    read = {text: _read(text) for text in {p.completion for p in predictions}}
    columns = np.array([read[p.completion] for p in predictions])
    units = np.array([getattr(p, unit_name) for p in predictions], dtype=object)
    return Judged(
        id=np.array([p.id for p in predictions], dtype=object),
        question_bank=np.array([p.question_bank for p in predictions]),
        label=np.array([LABELS.index(p.label) for p in predictions]),
        verdict=columns[:, 0],
        well_formed=columns[:, 1].astype(bool),
        thinking=columns[:, 2].astype(bool),
        hidden_thinking=columns[:, 3].astype(bool),
        repeats=columns[:, 4].astype(bool),
        n_tokens=np.array([p.n_completion_tokens for p in predictions]),
        p_fake=np.array([p.p_fake for p in predictions], dtype=float),
        unit=np.unique(units, return_inverse=True)[1],
        unit_name=unit_name,
    )


def _read(text: str) -> tuple[int, bool, bool, bool, bool]:
    """Return what a completion says, its label apart, in the order of ``Judged``'s fields."""
    scored = score_completion(text, LABELS[0])
    hidden = scored.thinking and not scored.reasoning and OPEN_TAG in text
    verdict = LABELS.index(scored.verdict) if scored.verdict else UNPARSED
    return verdict, scored.well_formed, scored.thinking, hidden, repeats(text)


def choose_unit(predictions: Sequence[Prediction], bootstrap_unit: str | None) -> str:
    """Return what the bootstrap draws.

    Args:
        predictions: The predictions.
        bootstrap_unit: "source" draws sources with all their images (the demo's photographs: crops
            of one photograph are not independent). "id" draws images; right where a source is a
            whole collection. None: sources where every prediction has one, else images.

    Raises:
        UserError: "source" is asked for and a prediction has none, or the name is unknown.
    """
    n_without = sum(p.source is None for p in predictions)
    if bootstrap_unit is None:
        return "id" if n_without else "source"
    if bootstrap_unit not in BOOTSTRAP_UNITS:
        raise UserError(
            f"bootstrap_unit is {bootstrap_unit!r}; set it to one of {list(BOOTSTRAP_UNITS)}."
        )
    if bootstrap_unit == "source" and n_without:
        raise UserError(
            f"bootstrap_unit is 'source', but {n_without} of {len(predictions)} predictions have "
            "no source; add the key or set bootstrap_unit to 'id'."
        )
    return bootstrap_unit
