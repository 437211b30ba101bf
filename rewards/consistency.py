"""Whether a verdict is what the completion's own reasoning concludes."""

import re

import numpy as np

from rewards.labels import LABELS
from rewards.scoring import ScoredCompletion
from rewards.verdict import find_verdict

KINDS = ("n_agree", "n_disagree", "n_no_conclusion", "n_no_verdict")
NO_REASONING = -1
_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")


def conclusion(reasoning: str) -> str | None:
    """Return the verdict of the last sentence of ``reasoning`` that states one.

    Read by ``rewards.verdict.find_verdict``, so in the words "real" and "fake" alone. None where no
    sentence states a single one.
    """
    if not _names_a_label(reasoning):
        return None
    for sentence in reversed(_SENTENCE_END.split(reasoning)):
        if _names_a_label(sentence):
            verdict = find_verdict(sentence)
            if verdict is not None:
                return verdict
    return None


def consistency_kind(scored: ScoredCompletion) -> int:
    """Return the index into ``KINDS``; ``NO_REASONING`` where the think block holds no text."""
    if not scored.reasoning:
        return NO_REASONING
    if scored.verdict is None:
        return KINDS.index("n_no_verdict")
    concluded = conclusion(scored.reasoning)
    if concluded is None:
        return KINDS.index("n_no_conclusion")
    return KINDS.index("n_agree" if concluded == scored.verdict else "n_disagree")


def consistency(kinds: np.ndarray) -> dict[str, float | int | None]:
    """Return how often the verdict is what the reasoning concludes.

    Over the completions with text in their think block, each in one of four counts: ``n_agree``,
    ``n_disagree``, ``n_no_conclusion`` (the reasoning states no verdict of its own),
    ``n_no_verdict`` (the answer states none). ``agreement`` is agree / (agree + disagree).

    Args:
        kinds: What ``consistency_kind`` returns for each completion, shape (n,).
    """
    counts = {name: int((kinds == i).sum()) for i, name in enumerate(KINDS)}
    n_stated = counts["n_agree"] + counts["n_disagree"]
    return {
        "n_reasoned": sum(counts.values()),
        **counts,
        "agreement": counts["n_agree"] / n_stated if n_stated else None,
    }


def _names_a_label(text: str) -> bool:
    lower = text.lower()
    return any(label in lower for label in LABELS)
