"""The words of the task: what an image can be, and which question bank a question comes from."""

from rewards.errors import UserError

LABELS = ("real", "fake")
QUESTION_BANKS = ("simple", "hard")  # Figures 2 and 3 of Fake-HR1


def check_label(label: str) -> None:
    """Raise a ``UserError`` unless ``label`` is one of ``LABELS``."""
    if label not in LABELS:
        raise UserError(
            f"unknown label {label!r}: expected one of {list(LABELS)}. Convert the labels where "
            "the data set is built."
        )


def check_question_bank(question_bank: str) -> None:
    """Raise a ``UserError`` unless ``question_bank`` is one of ``QUESTION_BANKS``."""
    if question_bank not in QUESTION_BANKS:
        raise UserError(
            f"unknown question bank {question_bank!r}: expected one of {list(QUESTION_BANKS)}. Set "
            "the question_bank column where the data set is built."
        )
