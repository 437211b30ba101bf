"""Take the verdict sentence out of a published explanation: what is left is the reasoning.

FakeClue's explanations mostly begin "This is a fake image."; others say it later, or in other
words. A sentence that says nothing but the verdict goes, wherever it stands; of "This is a fake
image because …" the reason stays; a sentence that says more than the verdict stays as it is.
"""

import re
from typing import NamedTuple

_LEAD = (
    r"(?:(?:therefore|thus|hence|so|overall|consequently|ultimately|in conclusion|in summary"
    r"|to conclude|in short|as a result|for these reasons|based on (?:this|these|the)[^,.!?]{0,60})"
    r",?\s+)?"
    r"(?:(?:i|we) (?:believe|think|conclude|would say)(?: that)? |it is (?:clear|likely) that )?"
)
_IMAGE = r"(?:image|picture|photo|photograph|frame|face|document|scene|screenshot|illustration)"
_IS = (
    r"(?:is|['\u2019]s|isn['\u2019]t|appears to|seems to|must"
    r"|can be (?:judged|classified|considered)|is (?:judged|classified|considered)|has been)"
)
_SURE = (
    r"(?:clearly|likely|probably|definitely|obviously|indeed|undoubtedly|certainly|actually"
    r"|(?:most|very) likely|almost certainly|in fact)"
)
_FAKE = (
    r"fake|synthetic|forged|manipulated|(?:ai|computer|artificially|synthetically)[- ]generated"
    r"|generated(?: by (?:an? )?ai)?|inauthentic|not real|not authentic|not genuine|unreal"
)
_REAL = r"real|authentic|genuine|not fake|not synthetic|not generated"
_WORD = rf"(?:(?P<{{0}}fake>{_FAKE})|(?P<{{0}}real>{_REAL}))"
_THAT = (
    rf"(?:this|it|that) {_IS}(?: be)?(?: as)?(?P<n1> not)?(?: {_SURE})?(?: an?| the)? "
    rf"{_WORD.format('a')}(?: {_IMAGE})?"
)
_THE_IMAGE = (
    rf"(?:the|this|that)(?: given| whole| entire)? {_IMAGE} {_IS}(?: be)?(?: as)?"
    rf"(?P<n2> not)?(?: {_SURE})?(?: an?)? {_WORD.format('b')}(?: {_IMAGE}| one)?"
)
_SHORT = rf"(?:(?:the )?(?:answer|verdict|conclusion|label)(?: is)?:? )?{_WORD.format('c')}"
_VERDICT = re.compile(
    rf"(?P<before>\A[\s*\"'“]*|(?<=[.!?\"”*])\s+|\n\s*)"
    rf"(?P<stars>\*{{0,2}}){_LEAD}(?:{_THAT}|{_THE_IMAGE}|{_SHORT})\*{{0,2}}"
    r"(?:[.!]+\*{0,2}[\"”']?(?=\s|\Z|[^\W\d])|\s*\Z|(?=\n)"
    r"|(?P<reason>,?\s+(?:because|since|as(?! (?:well|such|an?)\b))\s+"
    r"|\s*[:;\u2013\u2014]\s+|\s+-\s+))",
    re.IGNORECASE,
)


class Explanation(NamedTuple):
    """An explanation without its verdict.

    Attributes:
        reasoning: What is left; "" if nothing but the verdict was there.
        verdicts: The labels that the removed sentences name.
    """

    reasoning: str
    verdicts: frozenset[str]


def split_verdict(caption: str) -> Explanation:
    """Take the verdict sentences out of ``caption``."""
    verdicts: set[str] = set()
    # Two verdicts in a row share the space between them: look again until there is none left.
    text, previous = caption.strip(), None
    while text != previous:
        previous = text
        text = _take_out_one(text, verdicts)
    return Explanation(text if re.search(r"\w", text) else "", frozenset(verdicts))


def _take_out_one(text: str, verdicts: set[str]) -> str:
    match = _VERDICT.search(text)
    if match is None:
        return text
    says_fake = any(match[name] for name in ("afake", "bfake", "cfake"))
    negated = match["n1"] or match["n2"] or "isn" in match[0].lower().split()
    negated = negated or re.search(r"isn['\u2019]t", match[0], re.IGNORECASE)
    verdicts.add("fake" if says_fake != bool(negated) else "real")
    before, after = text[: match.start()], text[match.end() :]
    if match["reason"] and after:
        after = after[0].upper() + after[1:]
    separator = match["before"] if before and after else ""
    return (before + separator + after.lstrip()).strip()
