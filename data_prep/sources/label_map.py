"""Spellings of the two labels, as a user writes them down: never guessed."""

from collections.abc import Mapping, Sequence

from rewards.errors import UserError
from rewards.labels import LABELS, check_label


def parse_label_map(pairs: Sequence[str]) -> dict[str, str]:
    """Read ``["0=real", "1=fake"]`` as ``{"0": "real", "1": "fake"}``; spellings in lower case.

    Raises:
        UserError: A pair is not ``SPELLING=LABEL``, a label is not one of ``LABELS``, or a spelling
            stands for both.
    """
    label_map: dict[str, str] = {}
    for pair in pairs:
        spelling, separator, label = pair.rpartition("=")
        spelling = spelling.strip().lower()
        if not separator or not spelling:
            raise UserError(f"label map: {pair!r} is not SPELLING=LABEL, such as 0=real.")
        check_label(label.strip())
        if label_map.setdefault(spelling, label.strip()) != label.strip():
            raise UserError(f"label map: {spelling!r} stands for both labels; keep one.")
    return label_map


def describe(label_map: Mapping[str, str]) -> str:
    """Return the spellings as a user would write them, for an error message."""
    return " ".join(f"{spelling}={label}" for spelling, label in label_map.items())


PLAIN_LABELS: Mapping[str, str] = {label: label for label in LABELS}
