"""Which predictions of several sets answer the same question about the same image."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rewards.errors import UserError
from rewards.judged import Judged


class PairCounts(NamedTuple):
    """How much of each set is paired.

    Attributes:
        n_common: Questions (id and bank) that stand in every set.
        n_left_out: Predictions of each set that do not.
    """

    n_common: int
    n_left_out: list[int]


def questions(judged: Judged) -> list[tuple[str, str]]:
    """Return the id and bank of each prediction."""
    return list(zip(judged.id.tolist(), judged.question_bank.tolist(), strict=True))


def common_rows(sets: Sequence[Judged]) -> tuple[list[np.ndarray], PairCounts]:
    """Return for each set the rows of the common questions, in the order of the first set.

    Raises:
        UserError: There is no common question, or the sets disagree on a label.
    """
    places = [{question: i for i, question in enumerate(questions(judged))} for judged in sets]
    common = [q for q in places[0] if all(q in place for place in places[1:])]
    if not common:
        examples = [min(place) for place in places]
        raise UserError(
            f"the sets of {[len(place) for place in places]} predictions have no id and bank in "
            f"common (they hold {examples}, for instance); evaluate the same rows under the same "
            "banks."
        )
    rows = [np.array([place[q] for q in common]) for place in places]
    for judged, chosen in zip(sets[1:], rows[1:], strict=True):
        differing = np.flatnonzero(judged.label[chosen] != sets[0].label[rows[0]])
        if len(differing):
            raise UserError(
                f"id {common[differing[0]][0]!r} has another label in the second set of "
                "predictions; expected the same. Evaluate both on the same rows."
            )
    return rows, PairCounts(len(common), [len(place) - len(common) for place in places])
