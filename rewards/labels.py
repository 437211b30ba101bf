"""The words of the task: what an image can be, and which question bank a question comes from."""

from rewards.errors import UserError

LABELS = ("real", "fake")
QUESTION_BANKS = ("simple", "hard")  # Figures 2 and 3 of Fake-HR1
# Ours: questions that ask for neither mode, so that the image alone decides ("automatic reasoning
# settings", Sec. 2.2; the difficulty of the image, Sec. 5).
NEUTRAL_BANK = "neutral"
ALL_BANKS = (*QUESTION_BANKS, NEUTRAL_BANK)


def check_label(label: str) -> None:
    """Raise a ``UserError`` unless ``label`` is one of ``LABELS``."""
    if label not in LABELS:
        raise UserError(
            f"unknown label {label!r}: expected one of {list(LABELS)}. Convert the labels where "
            "the data set is built."
        )


def check_question_bank(question_bank: str) -> None:
    """Raise a ``UserError`` unless ``question_bank`` is one of ``ALL_BANKS``."""
    if question_bank not in ALL_BANKS:
        raise UserError(
            f"unknown question bank {question_bank!r}: expected one of {list(ALL_BANKS)}. Set "
            "the question_bank column where the data set is built."
        )
