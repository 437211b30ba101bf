"""The hybrid-thinking reward."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rewards.answer_format import parse_answer
from rewards.bank_log import log_by_bank, log_verdicts
from rewards.completions import completion_text, require_column
from rewards.errors import UserError
from rewards.hacks import find_hack
from rewards.labels import NEUTRAL_BANK, check_question_bank
from rewards.thinking import thinks
from rewards.wanted_mode import DIFFICULTY_RULES, pass_rate_columns, wants_thinking

HARD_BANK_RULES = ("require_thinking", "neutral", "off", "require_direct")
NEUTRAL_BANK_RULES = ("neutral", *DIFFICULTY_RULES)


@dataclass(frozen=True)
class HybridReward:
    """Score whether a completion thinks when, and only when, it is wanted.

    Implements R_hyb of Eq. (3), Sec. 2.2 of Fake-HR1: "When the input comes from the simple seed
    bank, omitting reasoning (i.e., directly producing the conclusion with empty <think> tags)
    yields a reward of 1, while unnecessarily including reasoning yields 0."

    * Simple bank (the paper's rule): 1.0 if well-formed with empty reasoning, else 0.0.
    * Hard bank, on which the paper is silent, by ``hard_bank``:
      ``require_thinking`` (ours, the default): 1.0 if well-formed with reasoning, else 0.0, so that
      "reasoning degeneration" (Sec. 2.2) costs reward;
      ``neutral`` (the paper's text, taken literally): 0.0 for every completion. A constant cancels
      in the group's mean (Eq. 2), so only the simple bank is shaped;
      ``off``: None, which TRL sums like 0.0, but leaves out of the logged mean;
      ``require_direct`` (ours, a control: always direct): as under the simple bank.
    * Neutral bank (ours, not in the paper), by ``neutral_bank``:
      ``neutral`` (the default): 0.0 for every completion;
      ``pass_rate`` and ``gain``: thinking is wanted on images that need it, see
      ``rewards.wanted_mode``; 1.0 for the wanted mode, else 0.0.

    A well-formed completion has nothing but the verdict after ``</think>``: reasoning that hides
    there earns nothing under any bank. With ``guard_reasoning`` (ours, the default), reasoning in
    form only earns nothing either, see ``rewards.hacks``.

    A class and not a closure, so that it can be pickled to other processes.

    Attributes:
        hard_bank: One of ``HARD_BANK_RULES``.
        neutral_bank: One of ``NEUTRAL_BANK_RULES``.
        guard_reasoning: Whether reasoning has to be more than form; false: the paper's letter.
        enough_right: Of ``pass_rate``: thinking is wanted below this share of right answers.
        thinking_gain: Of ``gain``: thinking is wanted if it adds more than this share.
    """

    __name__ = "hybrid_reward"

    hard_bank: str = "require_thinking"
    neutral_bank: str = "neutral"
    guard_reasoning: bool = True
    enough_right: float = 0.6
    thinking_gain: float = 0.2

    def __post_init__(self) -> None:
        """Refuse rules that there are not."""
        for name, rules in (("hard_bank", HARD_BANK_RULES), ("neutral_bank", NEUTRAL_BANK_RULES)):
            value = getattr(self, name)
            if value not in rules:
                raise UserError(f"{name} is {value!r}: set it to one of {list(rules)}.")

    @property
    def pass_rate_columns(self) -> list[str]:
        """The filter's columns that neutral rows need."""
        return pass_rate_columns(self.neutral_bank)

    def __call__(
        self,
        completions: Sequence[Any],
        question_bank: Sequence[str] | None = None,
        label: Sequence[str] | None = None,
        completion_ids: Sequence[Sequence[int]] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **kwargs: Any,
    ) -> list[float | None]:
        """Return B rewards, 0.0 or 1.0; None for hard questions where ``hard_bank`` is ``off``.

        Args:
            completions: B texts or conversations.
            question_bank: B names of banks, each one of ``ALL_BANKS``.
            label: B gold labels; for the log only.
            completion_ids: B lists of token ids, as TRL passes them; for the log only.
            log_metric: TRL's logger; gets thinking rate, repetition and length by bank, and the
                verdicts by label.
            **kwargs: The data set's other columns, the filter's pass rates among them.

        Raises:
            UserError: A column is missing or a bank is unknown.
        """
        banks = require_column(question_bank, "question_bank", len(completions))
        texts = [completion_text(completion) for completion in completions]
        wanted = [self._wanted(bank, kwargs, index) for index, bank in enumerate(banks)]
        if log_metric is not None:
            log_by_bank(texts, banks, completion_ids, log_metric)
            if label is not None:
                log_verdicts(texts, label, log_metric)
            self._log_difficulty(texts, banks, wanted, log_metric)
        off = self.hard_bank == "off"
        return [
            None if off and bank == "hard" else self._score(text, thinking)
            for text, bank, thinking in zip(texts, banks, wanted, strict=True)
        ]

    def _wanted(self, bank: str, columns: Mapping[str, Any], index: int) -> bool | None:
        """Return whether thinking is wanted; None where either mode is as good."""
        check_question_bank(bank)
        if bank == "simple":
            return False
        if bank == "hard":
            return {"require_thinking": True, "require_direct": False}.get(self.hard_bank)
        if self.neutral_bank == "neutral":
            return None
        return wants_thinking(
            self.neutral_bank,
            columns,
            index,
            enough_right=self.enough_right,
            thinking_gain=self.thinking_gain,
        )

    def _score(self, text: str, thinking: bool | None) -> float:
        answer = parse_answer(text)
        if thinking is None or not answer.well_formed:
            return 0.0
        if not thinking:
            return float(not answer.reasoning)
        if self.guard_reasoning and find_hack(answer.reasoning) is not None:
            return 0.0
        return float(bool(answer.reasoning))

    def _log_difficulty(
        self,
        texts: Sequence[str],
        banks: Sequence[str],
        wanted: Sequence[bool | None],
        log_metric: Callable[[str, float], None],
    ) -> None:
        """Log the thinking rate under neutral questions by what the image wants."""
        for text, bank, thinking in zip(texts, banks, wanted, strict=True):
            if bank == NEUTRAL_BANK and thinking is not None:
                name = "needs_thinking" if thinking else "needs_none"
                log_metric(f"thinking_rate/{NEUTRAL_BANK}/{name}", float(thinks(text)))


hybrid_reward = HybridReward()
