"""The verdict that free text states."""

import re

from rewards.labels import LABELS

# Hyphen and apostrophe join words: "real-time", "fake-looking" and "isn't" are one word each.
_TOKEN = re.compile(r"\w+(?:['‐‑-]\w+)*|[,.;:!?…—–-]+|\n[^\S\n]*\n")  # noqa: RUF001

_NEGATION_REACH = 8  # words
_NEGATION_WORDS = """
    no not non never neither nor none nothing nobody nowhere cannot without hardly barely scarcely
    unlikely lack lacks lacking fail fails too than far isnt dont doesnt didnt wasnt cant wont aint
"""
_TURN_WORDS = "so but because therefore thus hence means meaning making indicating suggesting"
_NEGATIONS = frozenset(_NEGATION_WORDS.split())
_TURNS = frozenset(_TURN_WORDS.split())
_NO_NEGATION_BEFORE = frozenset(["only", "just", "merely", "simply"])


def find_verdict(text: str) -> str | None:
    """Return the one of ``LABELS`` that stands in ``text`` as a whole word, in any case.

    None when neither stands there, when both do, or when one is negated. "unrealistic", "fakes",
    "deepfake" and hyphenated words ("real-time", "fake-looking") are other words.

    A word is negated when a negation is one of the eight words before it in the same clause:
    "not", "no", "isn't", "hardly", "too" as in "too smooth to be real", and so on. A clause ends
    at punctuation, at an empty line, and at a word that turns the thought ("so", "but",
    "because"). "not only" and "no doubt" do not negate; a "no" that answers a question does ("Is
    it real? No."). The rule would rather miss a verdict than read one that the text does not
    state.
    """
    found: set[str] = set()
    reach = 0  # how many more words a negation takes back
    previous = ""
    for token in _TOKEN.findall(text.lower().replace("’", "'")):  # noqa: RUF001
        if token in LABELS:
            if reach:
                return None
            found.add(token)
        elif found and previous.endswith("?") and _negates(token):
            return None
        else:
            reach = _next_reach(token, reach)
        previous = token
    return found.pop() if len(found) == 1 else None


def verdict_positions(text: str, verdict: str) -> list[int]:
    """Return where ``verdict`` begins in ``text``, as a word in the sense of ``find_verdict``."""
    tokens = _TOKEN.finditer(text.replace("’", "'"))  # noqa: RUF001
    return [token.start() for token in tokens if token.group().lower() == verdict]


def _negates(token: str) -> bool:
    return token in _NEGATIONS or token.endswith("n't")


def _next_reach(token: str, reach: int) -> int:
    """Return how many words after ``token`` are negated; before it, ``reach`` were."""
    if _negates(token):
        return _NEGATION_REACH
    if token == "doubt":  # "I doubt it is real" negates, "no doubt" takes the negation back
        return 0 if reach else _NEGATION_REACH
    if not reach or not (token[0].isalnum() or token[0] == "_"):
        return 0
    if reach == _NEGATION_REACH:  # right after the negation, "not so real" is no turn
        return 0 if token in _NO_NEGATION_BEFORE else reach - 1
    return 0 if token in _TURNS else reach - 1
