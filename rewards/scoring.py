"""How one completion is judged: the rewards, the filter and the evaluation all call this."""

from dataclasses import dataclass

from rewards.answer_format import parse_answer
from rewards.labels import check_label
from rewards.thinking import thinks


@dataclass(frozen=True)
class ScoredCompletion:
    """A completion judged against its label.

    Attributes:
        verdict: "real", "fake", or None where it cannot be parsed.
        reasoning: What stands in the think block, stripped.
        well_formed: Whether the whole text has exactly the answer format.
        correct: Whether the verdict is the label; an unparsed completion never is.
        thinking: Whether the completion reasons, in its block or outside of it.
    """

    verdict: str | None
    reasoning: str
    well_formed: bool
    correct: bool
    thinking: bool


def score_completion(text: str, label: str) -> ScoredCompletion:
    """Judge ``text`` against ``label``.

    Raises:
        UserError: ``label`` is unknown.
    """
    check_label(label)
    answer = parse_answer(text)
    return ScoredCompletion(
        verdict=answer.verdict,
        reasoning=answer.reasoning,
        well_formed=answer.well_formed,
        correct=answer.verdict == label,
        thinking=thinks(text),
    )
