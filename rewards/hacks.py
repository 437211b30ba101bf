"""Reasoning in form only: what a policy writes to be paid for thinking without doing it."""

from rewards.repetition import repeated_share
from rewards.thinking import WORDS_OF_A_REASON, reason_words

# Ours: more than every second trigram stood there before. A sentence said three times is over it;
# the reasonings of the embedded set, with their fixed phrases, have 0.0.
MAX_REPEATED_SHARE = 0.5


def find_hack(reasoning: str) -> str | None:
    """Return what makes the text of a think block no reasoning, or None.

    * "no reason": fewer than ``WORDS_OF_A_REASON`` different words besides those that state a
      verdict. One word, punctuation, one word many times, and the verdict said again are all that.
      The same number of words outside of a block counts as thinking (``rewards.thinking``): what
      is too little to be caught there is too little to be paid here.
    * "loop": a share of repeated trigrams above ``MAX_REPEATED_SHARE``.

    Words are runs of letters and digits: a text in a script without spaces counts as few words, and
    wants the guard switched off.
    """
    if len(set(reason_words(reasoning))) < WORDS_OF_A_REASON:
        return "no reason"
    if repeated_share(reasoning) > MAX_REPEATED_SHARE:
        return "loop"
    return None
