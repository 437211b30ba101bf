"""Whether one set of predictions is better than another, or than a constant answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rewards.bootstrap import Interval, interval, resampled_sums, sum_by_unit
from rewards.errors import UserError
from rewards.judged import Judged
from rewards.labels import LABELS, check_label
from rewards.pairing import questions


@dataclass(frozen=True)
class AccuracyDifference:
    """Accuracy of one set of predictions minus that of another, on the same questions.

    Attributes:
        difference: In fractions, not per cent.
        ci95: [low, high] of the paired bootstrap; None with fewer than two units.
        unit: What was drawn, "source" or "id".
        n_units: How many there are.
    """

    difference: float
    ci95: Interval
    unit: str
    n_units: int


def accuracy_difference(
    ours: Judged, theirs: Judged, n_bootstrap: int = 1000, seed: int = 0
) -> AccuracyDifference:
    """Return the accuracy of ``ours`` minus the accuracy of ``theirs``.

    Paired: a round draws the same units for both, so that what makes a photograph easy or hard for
    both cancels.

    Args:
        ours: What one model answered; its units are drawn.
        theirs: What the other answered to the same ids under the same banks, in any order.
        n_bootstrap: Rounds of the bootstrap.
        seed: Seed of the bootstrap.

    Raises:
        UserError: The two do not answer the same questions, or disagree on a label.
    """
    theirs = theirs.select(_order_of(questions(ours), questions(theirs)))
    differing = np.flatnonzero(theirs.label != ours.label)
    if len(differing):
        raise UserError(
            f"id {ours.id[differing[0]]!r} has another label in the second set of predictions; "
            "expected the same. Evaluate both on the same rows."
        )
    gain = (ours.verdict == ours.label) * 1.0 - (theirs.verdict == theirs.label)
    sums = sum_by_unit(ours.unit, gain, np.ones_like(gain))
    rounds = resampled_sums(sums, n_bootstrap if len(sums) > 1 else 0, seed)
    return AccuracyDifference(
        difference=float(gain.mean()),
        ci95=interval(rounds[:, 0] / rounds[:, 1]),
        unit=ours.unit_name,
        n_units=len(sums),
    )


def constant_answer(judged: Judged, label: str) -> Judged:
    """Return what a model scores on the same questions that always answers ``label``."""
    check_label(label)
    return replace(
        judged,
        verdict=np.full_like(judged.verdict, LABELS.index(label)),
        well_formed=np.ones_like(judged.well_formed),
        thinking=np.zeros_like(judged.thinking),
        hidden_thinking=np.zeros_like(judged.hidden_thinking),
        repeats=np.zeros_like(judged.repeats),
        p_fake=np.full_like(judged.p_fake, np.nan),
        n_tokens=np.zeros_like(judged.n_tokens),
    )


def best_constant(judged: Judged) -> str:
    """Return the label that is right most often when it is always given."""
    return LABELS[int(np.bincount(judged.label, minlength=len(LABELS)).argmax())]


def _order_of(
    questions: Sequence[tuple[str, str]], others: Sequence[tuple[str, str]]
) -> np.ndarray:
    """Return where in ``others`` each of ``questions`` stands."""
    differing = set(questions) ^ set(others)
    if differing or len(questions) != len(others):
        example = f" (id and bank {min(differing)} stand in one only)" if differing else ""
        raise UserError(
            f"the two sets of {len(questions)} and {len(others)} predictions do not answer the "
            f"same questions{example}; evaluate both on the same rows under the same banks."
        )
    place = {question: i for i, question in enumerate(others)}
    return np.array([place[question] for question in questions])
