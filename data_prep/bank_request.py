"""What a build wants of a language model: ``--questions_from`` and what goes with it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from data_prep.prompts import load_prompts, stable_integer

BANK_FILE = "prompts.yaml"  # in the finished folder
N_QUESTIONS = 20  # ours: as many as the model is asked for at a time


@dataclass(frozen=True)
class BankRequest:
    """What a build wants of the language model.

    Attributes:
        questions_from: Folder or hub id of a model, or the base URL of an endpoint.
        questions_model: Which model of the endpoint; None: its only one.
        question_banks: Banks that are extended.
        num_questions: New questions in each of them.
        seed: Decides the sampling.
        prompts_file: Banks to extend; None: the paper's.
    """

    questions_from: str
    questions_model: str | None
    question_banks: Sequence[str]
    num_questions: int
    seed: int
    prompts_file: str | None = None

    def record(self) -> dict[str, Any]:
        """Return what build.json holds: two requests with equal records ask for the same."""
        content = {**asdict(self), "question_banks": list(self.question_banks)}
        before = stable_integer(repr(load_prompts(self.prompts_file)))
        return {**content, "banks_before": f"{before:016x}"}

    def told(self) -> str:
        """Return a line for the card."""
        model = f" ({self.questions_model})" if self.questions_model else ""
        return (
            f"Questions: {self.num_questions} more in the {' and the '.join(self.question_banks)} "
            f"bank, written by {self.questions_from}{model}; all banks in `{BANK_FILE}`."
        )
