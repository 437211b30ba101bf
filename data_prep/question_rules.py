"""What a new question must be to enter a bank, and what a writer model is told about it.

Instruction and rules stand side by side because they say the same thing twice: once to the model,
once to what checks it. Ours; the paper (Sec. 5) names dynamic questions as future work and gives
neither.

A question is drawn without a look at the label. One that takes the verdict for granted ("Why is
this image fake?") would be wrong for half of the rows and would give the answer away in the other
half, so no new question may. The paper's own hard bank has such questions; it is quoted as it is.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MIN_WORDS = 3
MAX_WORDS = 30
# Above either, two questions ask the same in the same words. Ours.
MAX_TOKEN_OVERLAP = 0.8  # shared words over all words (Jaccard)
MAX_TEXT_RATIO = 0.9  # difflib's ratio of matching characters

SYSTEM_INSTRUCTION = (
    "You write short questions in English that people ask about one picture they are shown. You "
    "answer with the questions alone."
)
_KINDS = {
    "simple": (
        "Each asks for a direct verdict, real or made by AI, and can be answered in one word. None "
        "asks for reasons, evidence, a description or an explanation."
    ),
    "hard": (
        "Each asks for reasons: an explanation of how one can tell whether the picture is real or "
        "made by AI. Name both possibilities or neither. Vary what they ask to look at: light, "
        "texture, shapes, text, hands, background, traces of a camera."
    ),
    "neutral": (
        "Each asks for a judgement of the picture or of where it comes from, and says neither that "
        "a short answer is wanted nor that reasons are wanted. None has the words real or fake."
    ),
}
_REQUEST = """Write {num} new questions. {kind}
Each is one sentence of {least} to {most} words on a line of its own, without a number, quotation \
marks or a comment. None says or takes for granted what the answer is.

Questions of this kind:
{examples}
"""
_AVOID = """
Do not repeat or rephrase these:
{known}
"""

_FAKE = (
    r"fake\w*|deepfake\w*|synthe\w+|generated|artificial\w*|unreal\w*|inauthentic|suspicious"
    r"|manipulated|forged|ai|a\.i\.|ai-\w+|computer-\w+|machine-\w+|counterfeit|bogus"
)
_REAL = (
    r"real\w*|authentic|genuine\w*|natural|camera|captured|photographed|reality|lifelike|legit\w*"
)
_PICTURE = (
    r"image|picture|photo|photograph|frame|clip|video|footage|painting|drawing|artwork|portrait"
    r"|illustration|screenshot|snapshot|shot|scene|scenery|object|view|visual|media|subject|face"
    r"|hand|skin|shadow|light|lighting|reflection|texture|background|edge|colou?r|perspective"
)
_REASONS = re.compile(
    r"\b(?:why|because|explain\w*|explanation|reason\w*|justif\w+|describe|evidence|clue\w*|signs?"
    r"|hints?|proof|prove|argue\w*|support\w*|basis|artifacts?|artefacts?|inconsisten\w+"
    r"|indicat\w+|features?|details?|characteristics?|what makes|analy[sz]\w+|step[- ]by[- ]step"
    r"|point out|elaborate|discuss|walk me|how (?:can|could|do|did|would|might) (?:you|one|we|i))\b"
)
_CLOSED = re.compile(
    r"^(?:(?:please|quickly|so|now|in your opinion),? )?"
    r"(?:is|are|was|were|does|do|did|has|have|can|could|would|will|should)\b"
)
_ORDER = re.compile(
    r"^(?:please,? )?(?:tell|say|state|decide|judge|classify|assess|examine|evaluate|describe"
    r"|explain|justify|list|identify|name|give|provide|point|analy[sz]e|discuss|show|walk|outline"
    r"|argue|determine|look|inspect|consider|share|label|rate|report|compare|argue|support|weigh"
    r"|study|check|review|answer|choose|pick|reason|detail|summari[sz]e|trace|conclude)\b"
)
_JUDGEMENT = re.compile(
    r"\b(?:verdict|judge\w*|classif\w+|assess\w*|evaluat\w+|origin\w*|source|made|create\w*"
    r"|produced|come|comes|came|conclu\w+|opinion|impression|decide\w*|determine|think|make of"
    r"|authenticity|provenance|call)\b"
)
_BREVITY = re.compile(r"\b(?:directly|one word|yes or no|briefly|quick\w*|short\w*|just answer)\b")
_VERDICT_TOLD = re.compile(
    rf"\b(?:answer|verdict|label)\s*(?:is|:|=)\s*(?:{_FAKE}|{_REAL})\b(?!\s*(?:or\b|/))"
    rf"|\(\s*(?:{_FAKE}|{_REAL})\s*\)|\b(?:obviously|clearly|of course|undoubtedly)\b"
    rf"|\b(?:this|the|that|these)(?: \w+ly)? (?:{_FAKE}|{_REAL}) (?:{_PICTURE})s?\b"
)


@dataclass(frozen=True)
class Rejected:
    """A text that does not enter the bank."""

    text: str
    reason: str


def instruction(
    bank: str, num: int, examples: Sequence[str], known: Sequence[str]
) -> list[dict[str, str]]:
    """Return the conversation that asks a writer model for ``num`` questions of a bank.

    Args:
        bank: One of ``rewards.ALL_BANKS``.
        num: How many are wanted.
        examples: Questions of the bank.
        known: New questions that are in already; may be empty.
    """
    request = _REQUEST.format(
        num=num,
        kind=_KINDS[bank],
        least=MIN_WORDS,
        most=MAX_WORDS,
        examples="\n".join(examples),
    )
    if known:
        request += _AVOID.format(known="\n".join(known))
    return [
        {"role": "system", "content": SYSTEM_INSTRUCTION},
        {"role": "user", "content": request},
    ]


def split_answer(answer: str) -> list[str]:
    """Return the lines of a writer's answer without bullets, numbers, quotes and its thoughts."""
    lines = answer.rpartition("</think>")[2].splitlines()
    stripped = (
        re.sub(r"^\s*(?:[-*•]+\s|\(?\d+[.):]\s*|Q\d*[.:]\s*)\s*", "", line) for line in lines
    )
    plain = (line.translate(_PLAIN).strip(" \t\"'*`_") for line in stripped)
    return [line for line in plain if line]


# Typographic quotes, dashes and spaces as plain ones.
_PLAIN = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2013: "-", 0x2014: "-", 0xA0: " "}


def why_not(bank: str, text: str) -> str | None:
    """Return why ``text`` is no question for ``bank``; None if it is one."""
    lowered = text.lower()
    n_words = len(text.split())
    if not text.isascii() or not text.isprintable() or re.search(r"[<>{}\[\]*#`|\\]", text):
        return "not plain English text"
    if not MIN_WORDS <= n_words <= MAX_WORDS:
        return f"not {MIN_WORDS} to {MAX_WORDS} words"
    if len(re.findall(r"[.?!]+(?=\s|$)", text)) != 1 or text[-1] not in ".?!":
        return "not one whole sentence"
    if text[-1] != "?" and not _ORDER.search(lowered):
        return "neither a question nor a request"
    if not re.search(rf"\b(?:{_PICTURE})s?\b|\bthis\b", lowered):
        return "not about a picture"
    if _VERDICT_TOLD.search(lowered):
        return "gives the answer away"
    return {"simple": _why_not_simple, "hard": _why_not_hard, "neutral": _why_not_neutral}[bank](
        lowered
    )


def _why_not_simple(text: str) -> str | None:
    if _REASONS.search(text):
        return "asks for reasons"
    if not _named(text):
        return "does not ask for a verdict"
    # "Is it real?" asks; "what fooled you about this fake?" tells.
    if not _CLOSED.search(text) and len(_named(text)) == 1 and not _leaves_open(text):
        return "takes the answer for granted"
    return None


def _why_not_hard(text: str) -> str | None:
    if not _REASONS.search(text):
        return "does not ask for reasons"
    if not _named(text) and not _JUDGEMENT.search(text):
        return "does not ask for a verdict"
    # "Is it fake, and why?" asks for the verdict first; "can you say why it is fake?" does not.
    first = re.split(_REASONS, text, maxsplit=1)[0]
    asked = _CLOSED.search(text) and _named(first)
    if len(_named(text)) == 1 and not asked and not _leaves_open(text):
        return "takes the answer for granted"
    return None


def _why_not_neutral(text: str) -> str | None:
    if _REASONS.search(text):
        return "asks for reasons"
    if _BREVITY.search(text):
        return "asks for a short answer"
    if _named(text):
        return "names a verdict"
    return None if _JUDGEMENT.search(text) else "does not ask for a judgement"


def _named(text: str) -> set[str]:
    """Return the verdicts that words of ``text`` stand for."""
    words = {"fake": _FAKE, "real": _REAL}
    return {label for label, pattern in words.items() if re.search(rf"\b(?:{pattern})\b", text)}


def _leaves_open(text: str) -> bool:
    return re.search(r"\b(?:whether|if|or not)\b", text) is not None


class KnownQuestions:
    """Questions that a new one must not repeat or nearly repeat."""

    def __init__(self, questions: Iterable[str]) -> None:
        self._texts: dict[str, frozenset[str]] = {}
        for question in questions:
            self.add(question)

    def add(self, question: str) -> None:
        """Take a question in."""
        text = normalised(question)
        self._texts[text] = frozenset(text.split())

    def why_not(self, question: str) -> str | None:
        """Return "a repetition" or "nearly a repetition"; None if the question is new."""
        text = normalised(question)
        if text in self._texts:
            return "a repetition"
        words = frozenset(text.split())
        matcher = difflib.SequenceMatcher(b=text, autojunk=False)
        for known, known_words in self._texts.items():
            if len(words & known_words) > MAX_TOKEN_OVERLAP * len(words | known_words):
                return "nearly a repetition"
            matcher.set_seq1(known)
            if matcher.quick_ratio() > MAX_TEXT_RATIO and matcher.ratio() > MAX_TEXT_RATIO:
                return "nearly a repetition"
        return None


def normalised(question: str) -> str:
    """Return a question's words alone: what makes two spellings of it equal."""
    return " ".join(re.findall(r"[a-z0-9']+", question.lower()))


def examine(
    bank: str, lines: Iterable[str], known: KnownQuestions
) -> tuple[list[str], list[Rejected]]:
    """Return which lines are new questions of ``bank``, and which are not; adds to ``known``."""
    kept: list[str] = []
    rejected: list[Rejected] = []
    for line in lines:
        text = line[0].upper() + line[1:]
        reason = why_not(bank, text) or known.why_not(text)
        if reason:
            rejected.append(Rejected(text[:500], reason))
        else:
            known.add(text)
            kept.append(text)
    return kept, rejected
