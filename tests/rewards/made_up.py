"""Predictions made up for tests, from confusion counts."""

from rewards.answer_format import render_answer
from rewards.records import Prediction

UNPARSED = "unparsed"


def prediction(
    row_id: str = "a", label: str = "real", answer: str = "real", bank: str = "simple", **changes
) -> Prediction:
    """Return one prediction; ``answer`` is a label or ``UNPARSED``."""
    completion = "no idea" if answer == UNPARSED else render_answer(answer)
    values = {
        "id": row_id,
        "label": label,
        "question_bank": bank,
        "completion": completion,
        "n_completion_tokens": 10,
    }
    return Prediction(**{**values, **changes})


def from_counts(counts: dict[tuple[str, str], int], bank: str = "simple") -> list[Prediction]:
    """Return ``counts[label, answer]`` predictions of each kind, each with an id of its own."""
    return [
        prediction(f"{label}-{answer}-{i}", label, answer, bank)
        for (label, answer), count in counts.items()
        for i in range(count)
    ]
