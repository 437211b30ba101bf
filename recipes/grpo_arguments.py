"""What a GRPO run is told beyond TRL's own settings, and the rows that fit it."""

from dataclasses import dataclass, field

from datasets import Dataset

from data_prep.loading import SAMPLING_COLUMNS, load_rows
from rewards import NEUTRAL_BANK, HybridReward
from rewards.errors import UserError


@dataclass
class GRPOArguments:
    """What is not in TRL's GRPOConfig and ModelConfig."""

    dataset_name: str = field(metadata={"help": "Data set folder or hub id: what the filter kept."})
    train_split: str = field(default="train", metadata={"help": "Split to train on."})
    eval_dataset_name: str | None = field(
        default=None, metadata={"help": "Data set for the validation reward; none: no validation."}
    )
    eval_split: str = field(default="validation", metadata={"help": "Its split."})
    max_eval_rows: int | None = field(
        default=None, metadata={"help": "Of these, spread over the split; none: all."}
    )
    hard_bank: str = field(
        default="require_thinking",
        metadata={"help": "Hybrid reward on hard questions; see rewards/hybrid.py."},
    )
    neutral_bank: str = field(
        default="neutral",
        metadata={"help": "Hybrid reward on neutral questions: neutral, pass_rate or gain."},
    )
    enough_right: float = field(
        default=0.6, metadata={"help": "pass_rate: thinking is wanted below this share, 0 to 1."}
    )
    thinking_gain: float = field(
        default=0.2, metadata={"help": "gain: thinking is wanted if it adds more than this share."}
    )
    guard_reasoning: bool = field(
        default=True, metadata={"help": "Reasoning in form only earns nothing; false: the paper."}
    )
    max_ratio_deviation: float = field(
        default=0.05,
        metadata={"help": "Alarm when a step's mean ratio is further from 1."},
    )
    max_logp_difference: float = field(
        default=0.03, metadata={"help": "Alarm when a step's mean |log-prob. gap| is larger."}
    )
    stop_on_alarm: bool = field(
        default=False, metadata={"help": "End the run at an alarm; default: warn."}
    )
    collapse_window: int = field(
        default=10, metadata={"help": "Logs that the collapse watch averages over."}
    )
    stop_on_collapse: bool = field(
        default=False, metadata={"help": "End the run when a mode dies out; default: warn."}
    )
    completions_every: int = field(
        default=20, metadata={"help": "Steps between tables of completions; 0: none."}
    )
    restart: bool = field(default=False, metadata={"help": "Throw away what output_dir holds."})

    def hybrid_reward(self) -> HybridReward:
        """Return the hybrid reward as set."""
        return HybridReward(
            hard_bank=self.hard_bank,
            neutral_bank=self.neutral_bank,
            guard_reasoning=self.guard_reasoning,
            enough_right=self.enough_right,
            thinking_gain=self.thinking_gain,
        )


def load_validation_rows(args: GRPOArguments) -> Dataset | None:
    """Return the rows for the validation reward, evenly spread over the split; None for none.

    Raises:
        UserError: As ``load_rows``; or ``max_eval_rows`` is below 1.
    """
    if args.eval_dataset_name is None:
        return None
    rows = load_rows(args.eval_dataset_name, args.eval_split, SAMPLING_COLUMNS)
    if args.max_eval_rows is None or args.max_eval_rows >= len(rows):
        return rows
    if args.max_eval_rows < 1:
        raise UserError(f"max_eval_rows is {args.max_eval_rows}; set it to 1 or more, or to null.")
    n = args.max_eval_rows
    return rows.select([index * len(rows) // n for index in range(n)])


def load_training_rows(args: GRPOArguments) -> Dataset:
    """Return the rows to train on, with the filter's pass rates where the reward needs them.

    Raises:
        UserError: As ``load_rows``; or the image is to decide, and no question is neutral or a pass
            rate is missing.
    """
    columns = args.hybrid_reward().pass_rate_columns
    rows = load_rows(args.dataset_name, args.train_split, SAMPLING_COLUMNS)
    if not columns:
        return rows
    is_neutral = [bank == NEUTRAL_BANK for bank in rows["question_bank"]]
    problem = "" if any(is_neutral) else "has no neutral question"
    for name in columns if any(is_neutral) else ():
        if name not in rows.column_names:
            problem = f"lacks the column {name!r}"
            break
        elif any(
            neutral and rate is None for neutral, rate in zip(is_neutral, rows[name], strict=True)
        ):
            problem = f"has neutral rows without a {name!r}"
    if problem:
        raise UserError(
            f"neutral_bank is {args.neutral_bank!r}, and data set {args.dataset_name} {problem}. "
            "Make it with the filter's --neutral_share 0.5 --measure both, or set "
            "neutral_bank: neutral."
        )
    return rows
