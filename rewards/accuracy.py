"""The accuracy reward."""

from collections.abc import Sequence
from typing import Any

from rewards.completions import completion_text, require_column
from rewards.scoring import score_completion


def accuracy_reward(
    completions: Sequence[Any], label: Sequence[str] | None = None, **kwargs: Any
) -> list[float]:
    """Score 1.0 where the verdict is the label, else 0.0.

    Implements R_acc of Eq. (3), Sec. 2.2 of Fake-HR1: "After removing the <think> tags, the output
    is compared against the ground truth. A match yields a reward of 1; otherwise 0." Departs from
    the paper: none. We read "removing the tags" as taking out the block with its text, so that a
    verdict in the reasoning alone earns nothing; how free text is read, on which the paper is
    silent, is in ``rewards.verdict.find_verdict``.

    Args:
        completions: B texts or conversations.
        label: B gold labels, each "real" or "fake".
        **kwargs: What else TRL passes; unused.

    Returns:
        B rewards, 0.0 or 1.0.

    Raises:
        UserError: The column is missing or a label is unknown.
    """
    labels = require_column(label, "label", len(completions))
    return [
        float(score_completion(completion_text(completion), gold).correct)
        for completion, gold in zip(completions, labels, strict=True)
    ]
