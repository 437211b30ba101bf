"""The hybrid-thinking reward."""

from collections.abc import Callable, Sequence
from typing import Any

from rewards.answer_format import parse_answer
from rewards.bank_log import log_by_bank
from rewards.completions import completion_text, require_column
from rewards.errors import UserError
from rewards.labels import NEUTRAL_BANK, check_question_bank

HARD_BANK_RULES = ("require_thinking", "neutral")


class HybridReward:
    """Score whether a completion thinks when, and only when, its question asks for it.

    Implements R_hyb of Eq. (3), Sec. 2.2 of Fake-HR1: "When the input comes from the simple seed
    bank, omitting reasoning (i.e., directly producing the conclusion with empty <think> tags)
    yields a reward of 1, while unnecessarily including reasoning yields 0."

    * Simple bank (the paper's rule): 1.0 if well-formed with empty reasoning, else 0.0.
    * Neutral bank (ours, not in the paper): 0.0 for every completion.
    * Hard bank, on which the paper is silent, by the setting ``hard_bank``:
      ``require_thinking`` (ours, the default): 1.0 if well-formed with reasoning, else 0.0, so that
      "reasoning degeneration" (Sec. 2.2) costs reward;
      ``neutral`` (the paper's text, taken literally): 0.0 for every completion. A constant cancels
      in the group's mean (Eq. 2), so only the simple bank is shaped.

    A well-formed completion has nothing but the verdict after ``</think>``: reasoning that hides
    there earns nothing under either bank.

    A class and not a closure, so that it can be pickled to other processes.
    """

    __name__ = "hybrid_reward"

    def __init__(self, hard_bank: str = "require_thinking") -> None:
        """Choose the rule of the hard bank, one of ``HARD_BANK_RULES``."""
        if hard_bank not in HARD_BANK_RULES:
            raise UserError(
                f"hard_bank is {hard_bank!r}: set it to one of {list(HARD_BANK_RULES)}."
            )
        self.hard_bank = hard_bank

    def __call__(
        self,
        completions: Sequence[Any],
        question_bank: Sequence[str] | None = None,
        completion_ids: Sequence[Sequence[int]] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **kwargs: Any,
    ) -> list[float]:
        """Return B rewards, 0.0 or 1.0.

        Args:
            completions: B texts or conversations.
            question_bank: B names of banks, each one of ``ALL_BANKS``.
            completion_ids: B lists of token ids, as TRL passes them; for the log only.
            log_metric: TRL's logger; gets thinking rate and completion length by bank.
            **kwargs: What else TRL passes; unused.

        Raises:
            UserError: The column is missing or a bank is unknown.
        """
        banks = require_column(question_bank, "question_bank", len(completions))
        texts = [completion_text(completion) for completion in completions]
        rewards = [self._score(text, bank) for text, bank in zip(texts, banks, strict=True)]
        if log_metric is not None:
            log_by_bank(texts, banks, completion_ids, log_metric)
        return rewards

    def _score(self, text: str, question_bank: str) -> float:
        check_question_bank(question_bank)
        answer = parse_answer(text)
        if question_bank == "simple":
            return float(answer.well_formed and not answer.reasoning)
        if question_bank == NEUTRAL_BANK or self.hard_bank == "neutral":
            return 0.0
        return float(answer.well_formed and bool(answer.reasoning))


hybrid_reward = HybridReward()
