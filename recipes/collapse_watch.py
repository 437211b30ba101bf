"""The watch over a GRPO run: says when a mode dies out, can end the run.

Fake-HR1 names "reasoning degeneration" (Sec. 2.2) as the problem of reinforcement learning with two
modes; it shows in the log long before it shows in accuracy. Each rule below looks at the average of
one logged value over the last ``window`` logs. Its bound is ours: there is none in the paper.
"""

import math
import operator
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging

from recipes.run_folder import append_log, read_log
from rewards import NEUTRAL_BANK, HybridReward
from rewards.errors import UserError

logger = logging.get_logger(__name__)
EVENT = "collapse"
VERDICT_BALANCE = "says_fake"
BESIDE = {"above": operator.gt, "below": operator.lt}


@dataclass(frozen=True)
class Rule:
    """When the average of a logged value is worth a word.

    Attributes:
        metric: Name in the log; the balance of verdicts is made of two, see ``_values``.
        side: "above" or "below" the bound.
        bound: In the metric's unit; with ``relative``, times the average of the first window.
        meaning: What has happened, as a sentence.
        stops: Whether this is a collapse, which ends the run where the user asked for that.
        relative: See ``bound``.
    """

    metric: str
    side: str
    bound: float
    meaning: str
    stops: bool = False
    relative: bool = False


def rules_for(reward: HybridReward, banks: Iterable[str]) -> list[Rule]:
    """Return the rules of a run with ``reward`` on questions of ``banks``."""
    rules = []
    for bank in banks:
        rate, loops = f"thinking_rate/{bank}", f"repeated_share/{bank}"
        # A tenth: at 8 generations most groups then hold no completion of the other mode any more,
        # and Eq. 2 has nothing to compare.
        if lives(reward, bank, thinking=True):
            rules.append(Rule(rate, "below", 0.1, f"thinking dies out on {bank} questions", True))
        if lives(reward, bank, thinking=False):
            meaning = f"direct answers die out on {bank} questions"
            rules.append(Rule(rate, "above", 0.9, meaning, True))
        rules.append(Rule(loops, "above", 0.3, f"answers to {bank} questions repeat themselves"))
    return [
        *rules,
        # A just judge says "fake" of all fakes and of no real image, 0.5 on average over the two;
        # a blind one says it of none (0) or of all (1).
        Rule(VERDICT_BALANCE, "below", 0.2, "the verdict drifts to 'real' on any image", True),
        Rule(VERDICT_BALANCE, "above", 0.8, "the verdict drifts to 'fake' on any image", True),
        # Long before that: by three tenths of where the run began. What one seed of the demo lost
        # (fake recall from 76 to 57 %, while hardly a real image was called fake) is beyond.
        Rule(VERDICT_BALANCE, "below", 0.7, "the verdict moves towards 'real'", relative=True),
        Rule(VERDICT_BALANCE, "above", 1.3, "the verdict moves towards 'fake'", relative=True),
        Rule("completions/clipped_ratio", "above", 0.5, "most answers are cut off by the limit"),
        Rule("entropy", "below", 0.1, "the policy hardly varies its answers", relative=True),
        Rule("kl", "above", 0.5, "the policy is far from the one it started from"),
        Rule("frac_reward_zero_std", "above", 0.95, "hardly a group has anything to learn from"),
    ]


def lives(reward: HybridReward, bank: str, *, thinking: bool) -> bool:
    """Return whether a mode is to live on under a bank.

    Under a neutral bank both are. Under the hard one thinking is, also where the reward does not
    ask for it: its loss is the degeneration that the paper names.
    """
    if bank == NEUTRAL_BANK:
        return True
    wants_thinking = bank == "hard" and reward.hard_bank != "require_direct"
    return wants_thinking == thinking


class CollapseWatch(TrainerCallback):
    """Follows the log, warns once when a rule's bound is crossed, and stops the run on demand.

    An event is a line of ``log.jsonl`` with the key ``event``, and a mark in ``curves.png``. A rule
    speaks again only after its average has come back within the bound. A run that goes on from a
    checkpoint goes on with the averages it had.
    """

    def __init__(self, rules: Sequence[Rule], window: int = 10, stop: bool = False) -> None:
        """Set the rules, how many logs an average is over, and whether a collapse ends the run."""
        self.rules, self.window, self.stop = list(rules), window, stop
        self.events: list[dict[str, Any]] = []
        self.stopped_by: dict[str, Any] | None = None
        self._recent: dict[str, deque[float]] = {}
        self._first: dict[str, float] = {}
        self._crossed: set[Rule] = set()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Read again what the run logged before it was killed."""
        for record in read_log(str(args.output_dir)):
            if record.get("step", 0) > state.global_step:
                continue
            if record.get("event") == EVENT:
                self.events.append(record)
            else:
                self._look(record["step"], record)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Look at what was just logged; the values are the same in every process."""
        for event in self._look(state.global_step, logs or {}):
            self.events.append(event)
            if state.is_world_process_zero:
                append_log(str(args.output_dir), event)
                logger.warning(f"step {event['step']}: {event['meaning']}: {describe(event)}.")
            if event["stops"] and self.stop:
                self.stopped_by = event
                control.should_save = True
                control.should_training_stop = True

    def raise_if_stopped(self, output_dir: str | Path) -> None:
        """Raise a ``UserError`` if a collapse has ended the run."""
        if self.stopped_by is not None:
            event = self.stopped_by
            raise UserError(
                f"stopped at step {event['step']}: {event['meaning']} ({describe(event)}). "
                f"{output_dir} holds the curves (curves.png), the completions and a checkpoint of "
                "that step; see the reward of that bank, beta and learning_rate. The same command "
                "goes on from the checkpoint."
            )

    def _look(self, step: int, logs: dict[str, Any]) -> list[dict[str, Any]]:
        """Take in a log; return the events it makes."""
        for name, value in _values(logs).items():
            recent = self._recent.setdefault(name, deque(maxlen=self.window))
            recent.append(value)
            if len(recent) == self.window:
                self._first.setdefault(name, sum(recent) / self.window)
        return [event for rule in self.rules for event in self._apply(rule, step, logs)]

    def _apply(self, rule: Rule, step: int, logs: dict[str, Any]) -> list[dict[str, Any]]:
        recent = self._recent.get(rule.metric, ())
        if len(recent) < self.window:
            return []
        average = sum(recent) / self.window
        bound = rule.bound * self._first[rule.metric] if rule.relative else rule.bound
        beyond: Callable[[float, float], bool] = BESIDE[rule.side]
        if not beyond(average, bound):
            self._crossed.discard(rule)
            return []
        if rule in self._crossed:
            return []
        self._crossed.add(rule)
        event = {"step": step, "event": EVENT, "metric": rule.metric, "average": average}
        rest = {"side": rule.side, "bound": bound, "window": self.window, "stops": rule.stops}
        return [{**event, **rest, "meaning": rule.meaning}]


def describe(event: dict[str, Any]) -> str:
    """Return the numbers of an event, in words."""
    return (
        f"{event['metric']} is {event['average']:.3f} on average over the last {event['window']} "
        f"logs, {event['side']} {event['bound']:.3f}"
    )


def _values(logs: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of a log; with both labels' verdicts, their balance too."""
    values = {
        name: float(value)
        for name, value in logs.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
    shares = [values.get(f"{VERDICT_BALANCE}/{label}") for label in ("real", "fake")]
    if None not in shares:
        values[VERDICT_BALANCE] = sum(share for share in shares if share is not None) / 2
    return values
