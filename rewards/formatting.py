"""The format reward."""

from collections.abc import Sequence
from typing import Any

from rewards.answer_format import parse_answer
from rewards.completions import completion_text


def format_reward(completions: Sequence[Any], **kwargs: Any) -> list[float]:
    """Score 1.0 where the whole completion has exactly the answer format, else 0.0.

    Implements R_format of Eq. (3), Sec. 2.2 of Fake-HR1: "a score of 1 if the output strictly
    follows the structural requirements by enclosing the reasoning within <think>/</think> tags,
    and 0 otherwise". Departs from the paper: none; "strictly" is spelt out in
    ``rewards.answer_format.parse_answer``, and includes that a bare verdict follows the block.

    Args:
        completions: B texts or conversations.
        **kwargs: What else TRL passes; unused.

    Returns:
        B rewards, 0.0 or 1.0.
    """
    return [float(parse_answer(completion_text(item)).well_formed) for item in completions]
