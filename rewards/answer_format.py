r"""The answer format: one place for training, filter and evaluation.

An answer is ``<think>REASONING</think>`` and then the verdict, ``real`` or ``fake`` (Fake-HR1,
Sec. 3): ``<think>\nReasoning\n</think>fake`` reasons, ``<think></think>real`` answers directly.
"""

import re
from dataclasses import dataclass

from rewards.blocks import CLOSE_TAG, OPEN_TAG, split_blocks
from rewards.errors import UserError
from rewards.labels import LABELS, QUESTION_BANKS, check_label
from rewards.verdict import find_verdict, verdict_positions

__all__ = [
    "FORCED_STARTS",
    "LABELS",
    "QUESTION_BANKS",
    "ParsedAnswer",
    "parse_answer",
    "render_answer",
    "verdict_start",
]

# What a completion begins with that answers directly, or that thinks, whatever the model would do.
FORCED_STARTS = {"direct": f"{OPEN_TAG}{CLOSE_TAG}", "think": f"{OPEN_TAG}\n"}
_BLOCK = re.compile(rf"{OPEN_TAG}.*?(?:{CLOSE_TAG}|\Z)", re.DOTALL)
_BARE_VERDICT = re.compile(r"(?:real|fake)\.?", re.IGNORECASE)


@dataclass(frozen=True)
class ParsedAnswer:
    """What a completion says.

    Attributes:
        verdict: "real" or "fake"; None where the text gives no single verdict.
        reasoning: What stands in the think block, stripped.
        well_formed: Whether the whole text has exactly the answer format.
    """

    verdict: str | None
    reasoning: str
    well_formed: bool


def render_answer(label: str, reasoning: str = "") -> str:
    """Return the gold completion (Fake-HR1, Sec. 3): direct without ``reasoning``, else with it.

    Raises:
        UserError: The label is unknown, or the reasoning holds a think tag, which would make an
            answer that cannot be read back.
    """
    check_label(label)
    reasoning = reasoning.strip()
    if OPEN_TAG in reasoning or CLOSE_TAG in reasoning:
        raise UserError(f"the reasoning holds a think tag: {reasoning[:80]!r}; take the tag out.")
    block = f"\n{reasoning}\n" if reasoning else ""
    return f"{OPEN_TAG}{block}{CLOSE_TAG}{label}"


def parse_answer(text: str) -> ParsedAnswer:
    """Read a completion; total on any text, in time linear in its length.

    * Well-formed: the whole text, stripped, is one ``<think>…</think>`` block (lower-case tags,
      exactly one of each), then white space or none, then ``real`` or ``fake`` (any case, one
      optional full stop), and nothing else.
    * Verdict: of what is left when the block is taken out, the one of the two words that stands
      there as a whole word and is not negated, see ``rewards.verdict.find_verdict``; None when a
      block is never closed.
    * Reasoning: the text of the block, also of one that is never closed.
    """
    blocks = split_blocks(text)
    return ParsedAnswer(
        verdict=find_verdict(blocks.outside) if blocks.closed else None,
        reasoning=blocks.inside,
        well_formed=(
            text.count(OPEN_TAG) == 1  # a second close tag would stand outside
            and text.lstrip().startswith(OPEN_TAG)
            and _BARE_VERDICT.fullmatch(blocks.outside) is not None
        ),
    )


def verdict_start(text: str) -> int | None:
    """Return where in ``text`` the verdict that ``parse_answer`` reads stands last.

    None where there is no verdict. Words in think blocks are not looked at.
    """
    verdict = parse_answer(text).verdict
    if verdict is None:
        return None
    # Blanks in the place of a block keep every position after it.
    outside = _BLOCK.sub(lambda block: " " * len(block.group()), text)
    return verdict_positions(outside, verdict)[-1]
