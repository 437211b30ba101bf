"""Whether a completion thinks, inside its block or hidden outside of it."""

import re

from rewards.blocks import split_blocks

_WORD = re.compile(r"\w+")
# What a sentence needs that only states a verdict: "Yes, I think this image is probably fake."
_VERDICT_SENTENCE_WORDS = frozenset(
    "real fake authentic genuine artificial synthetic natural generated ai by with camera taken "
    "a an the this that these it its is was be been to as of for in "
    "i we think believe say would my final answer verdict conclusion "
    "image picture photo photograph frame painting scene video clip object "
    "looks look appears appear seems seem like likely probably clearly not no yes or".split()
)


def thinks(text: str) -> bool:
    """Return whether a completion reasons. The rewards' log, the filter and the evaluation ask this.

    It does when its think block holds text, closed or not. It also does when the text outside of the
    block holds more than a verdict: reasoning that moves behind ``</think>`` is a known way to look
    brief (TNT, arXiv:2601.04805). "fake" and "The image is fake." state a verdict and do not think;
    "The shadows disagree, so fake" does, and so does a text without tags that explains itself.
    """
    blocks = split_blocks(text)
    if blocks.inside:
        return True
    words = _WORD.finditer(blocks.outside)
    return any(match.group().lower() not in _VERDICT_SENTENCE_WORDS for match in words)
