"""Whether a completion thinks, inside its block or hidden outside of it."""

import re
from collections.abc import Iterator
from itertools import islice

from rewards.blocks import split_blocks

_WORD = re.compile(r"\w+(?:['’]\w+)*")  # noqa: RUF001
# What a sentence needs that states a verdict, or refuses one, without a reason: "I think this
# image is probably fake.", "I cannot tell whether it is real or fake."
_VERDICT_SENTENCE = """
    real fake authentic genuine artificial synthetic natural generated ai by with camera taken
    a an the this that these it its it's is isn't was be been to as of for in or if whether
    i we think believe say tell know cannot can't don't would my final answer verdict conclusion
    image picture photo photograph frame painting scene video clip object
    looks look appears appear seems seem like likely probably clearly sure not no yes
"""
_VERDICT_SENTENCE_WORDS = frozenset(_VERDICT_SENTENCE.split())
WORDS_OF_A_REASON = 3


def reason_words(text: str) -> Iterator[str]:
    """Return the words of ``text``, in lower case, that a sentence stating a verdict can spare."""
    words = (match.group().lower() for match in _WORD.finditer(text))
    return (word for word in words if word.replace("’", "'") not in _VERDICT_SENTENCE_WORDS)  # noqa: RUF001


def thinks(text: str) -> bool:
    """Return whether a completion reasons; rewards' log, filter and evaluation all ask this.

    It does when its think block holds text, closed or not. It also does when the text outside of
    the block holds three words or more that a bare verdict does not need: reasoning that moves
    behind ``</think>`` is a known way to look brief (TNT, arXiv:2601.04805). "fake" and "I think
    this image is fake." state a verdict and do not think; "The shadows disagree, so fake" does, as
    does a text without tags that explains itself.
    """
    blocks = split_blocks(text)
    if blocks.inside:
        return True
    reasons = islice(reason_words(blocks.outside), WORDS_OF_A_REASON)
    return len(list(reasons)) == WORDS_OF_A_REASON
