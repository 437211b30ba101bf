"""What an evaluation asks: its settings and, from them, its files of answers."""

from dataclasses import dataclass, field

from data_prep.prompts import Prompts
from recipes.eval_asks import Ask
from recipes.robustness import VARIANTS
from rewards import NEUTRAL_BANK, QUESTION_BANKS
from rewards.answer_format import FORCED_STARTS
from rewards.errors import UserError

# What a mode is called, and the bank that its questions come from. In mode auto the question asks
# for neither form: the image decides.
MODES = {**{bank: bank for bank in QUESTION_BANKS}, "auto": NEUTRAL_BANK}


@dataclass
class PlanArguments:
    """What is asked; the defaults are the paper's two settings, greedy (Sec. 4.2)."""

    modes: list[str] = field(
        default_factory=lambda: list(QUESTION_BANKS),
        metadata={"help": "Of simple, hard (the paper's two) and auto (neutral questions)."},
    )
    num_samples: int = field(
        default=0, metadata={"help": "Also sample each question so many times; 0: greedy alone."}
    )
    sampling_temperature: float = field(default=1.0, metadata={"help": "Of those samples."})
    forced_modes: bool = field(
        default=False,
        metadata={"help": "Also ask with a direct, and with a thinking, answer forced."},
    )
    robustness: bool = field(
        default=False, metadata={"help": "Also ask about changed images (JPEG, resize, blur, ...)."}
    )
    robustness_variants: list[str] = field(
        default_factory=lambda: list(VARIANTS),
        metadata={"help": "Which; see recipes/robustness.py."},
    )
    robustness_mode: str = field(
        default="simple", metadata={"help": "The mode that changed images are asked in."}
    )

    def __post_init__(self) -> None:
        """Refuse names that there are not, and samples that are all the same."""
        _check_names("modes", self.modes, list(MODES))
        _check_names("robustness_mode", [self.robustness_mode], list(MODES))
        _check_names("robustness_variants", self.robustness_variants, list(VARIANTS))
        if self.num_samples < 0 or (self.num_samples and self.sampling_temperature <= 0):
            raise ValueError(
                f"num_samples={self.num_samples} and sampling_temperature="
                f"{self.sampling_temperature} must be at least 0 and above 0."
            )
        if self.robustness and self.robustness_mode not in self.modes:
            raise ValueError(
                f"robustness_mode={self.robustness_mode} is compared with the unchanged images: "
                f"add it to modes={self.modes}."
            )


def _check_names(key: str, found: list[str], allowed: list[str]) -> None:
    unknown = [name for name in found if name not in allowed]
    if unknown or not found or len(set(found)) < len(found):
        raise ValueError(f"{key}={found}: expected some of {allowed}, each once.")


def plan_asks(args: PlanArguments, prompts: Prompts) -> list[Ask]:
    """Return the files of answers, the predictions first.

    Forced modes are asked under every bank that the predictions are: nothing but the mode differs
    from the free answer to the same question, so that each bank's routing can be judged.

    Raises:
        UserError: The prompts file lacks a bank.
    """
    banks = tuple(MODES[mode] for mode in args.modes)
    for mode, bank in zip(args.modes, banks, strict=True):
        if not getattr(prompts, bank):
            raise UserError(
                f"the prompts file has no {bank!r} bank, which mode {mode!r} asks; add the bank or "
                f"leave {mode!r} out of --modes."
            )
    asks = [Ask("predictions.jsonl", banks)]
    if args.num_samples:
        asks.append(Ask("samples.jsonl", banks, num_samples=args.num_samples))
    if args.forced_modes:
        asks += [
            Ask(f"forced_{mode}.jsonl", banks, start=start) for mode, start in FORCED_STARTS.items()
        ]
    if args.robustness:
        bank = MODES[args.robustness_mode]
        asks += [
            Ask(f"robustness/{name}.jsonl", (bank,), change=VARIANTS[name])
            for name in args.robustness_variants
        ]
    return asks
