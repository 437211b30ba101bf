"""Reasoning in form only: what a policy writes to be paid for thinking without doing it."""

from rewards.repetition import repeats
from rewards.thinking import WORDS_OF_A_REASON, reason_words


def find_hack(reasoning: str) -> str | None:
    """Return what makes the text of a think block no reasoning, or None.

    * "no reason": fewer than ``WORDS_OF_A_REASON`` different words besides those that state a
      verdict. One word, punctuation, one word many times, and the verdict said again are all that.
      The same number of words outside of a block counts as thinking (``rewards.thinking``): what
      is too little to be caught there is too little to be paid here.
    * "loop": it says again, word by word, what stands before, see ``rewards.repetition.repeats``.

    The reasonings of the embedded set, fixed phrases all, are neither. Words are runs of letters
    and digits: a text in a script without spaces has few, and wants the guard switched off.
    """
    if len(set(reason_words(reasoning))) < WORDS_OF_A_REASON:
        return "no reason"
    return "loop" if repeats(reasoning) else None
