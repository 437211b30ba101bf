"""The score behind a verdict: the probability of "fake" against "real" where the verdict is said.

The verdict is the last word "real" or "fake" outside the think block of an answer that can be
parsed. The token that begins it was drawn from a distribution of which the engine tells the ``k``
most probable tokens. With F the sum over those that begin the word "fake" and R likewise for
"real",

    p_fake = F / (F + R).

A token begins a word when its text, without what stands before the word in the token that was
drawn (or, where that is white space or nothing, without any white space), in lower case, is a
beginning of the word, or the word and then no letter, digit, hyphen or apostrophe. So " real",
"real", "Real", "re" (of "re" + "al") and "real." all count for "real", "realistic" does not. Two
things are taken as they are: a piece such as "re" may go on to another word, and what follows a
verdict's first token is not weighed.

What is missing is bounded: no token outside the ``k`` listed ones is counted, and together they
have the probability ``unseen`` = 1 - (sum of the listed), so that the value over the whole
vocabulary lies in [F / (F + R + unseen), (F + unseen) / (F + R + unseen)].
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rewards import parse_answer
from rewards.answer_format import verdict_start

TOP_LOGPROBS = 20  # k: the most that vLLM and OpenAI's interface give unless told otherwise
_AFTER_WORD = re.compile(r"[^\w'’‐‑-]")  # noqa: RUF001


Alternatives = Sequence[tuple[str, float]]  # text and log-probability of the most probable tokens


class VerdictProbability(NamedTuple):
    """Probabilities at the token that begins the verdict.

    Attributes:
        fake: Of tokens that begin "fake" (F).
        real: Of tokens that begin "real" (R).
        unseen: Of all tokens that the engine did not list.
    """

    fake: float
    real: float
    unseen: float

    @property
    def p_fake(self) -> float | None:
        """F / (F + R); None where neither word is among the listed tokens."""
        both = self.fake + self.real
        return self.fake / both if both > 0 else None


def verdict_probability(
    completion: str, token_texts: Sequence[str], alternatives_at: Callable[[int], Alternatives]
) -> VerdictProbability | None:
    """Return the probabilities at the verdict of ``completion``.

    Args:
        completion: The text as it is kept.
        token_texts: The tokens' own texts, in order; special ones may follow the completion's.
        alternatives_at: Gives what might have stood in the place of a token, the token itself
            included; nothing for one that was given, not drawn.

    Returns:
        None where the completion has no verdict, where the tokens' own text has another one (a
        server's reasoning parser moved it, say), or where no alternatives are given at the verdict.
    """
    text = "".join(token_texts)
    if text.startswith(completion):  # an end-of-turn token may follow
        text = text[: len(completion)]
    start = verdict_start(text)
    if start is None or parse_answer(text).verdict != parse_answer(completion).verdict:
        return None
    index = 0
    while start >= len(token_texts[index]):
        start -= len(token_texts[index])
        index += 1
    alternatives = alternatives_at(index)
    return _sum_up(alternatives, lead=token_texts[index][:start]) if alternatives else None


def _sum_up(alternatives: Alternatives, lead: str) -> VerdictProbability:
    """Add up the alternatives of a token in which ``lead`` stands before the verdict."""
    sums = {"fake": 0.0, "real": 0.0}
    total = 0.0
    for text, logprob in alternatives:
        probability = math.exp(logprob)
        total += probability
        for word in sums:
            if _begins(word, text, lead):
                sums[word] += probability
    return VerdictProbability(sums["fake"], sums["real"], max(0.0, 1.0 - total))


def _begins(word: str, text: str, lead: str) -> bool:
    """Return whether a token with ``text`` begins ``word`` in the place of the verdict's token."""
    if lead.strip():
        if not text.startswith(lead):
            return False
        text = text[len(lead) :]
    piece = text.lstrip().lower()
    if piece.startswith(word):
        return len(piece) == len(word) or _AFTER_WORD.match(piece, len(word)) is not None
    return bool(piece) and word.startswith(piece)
