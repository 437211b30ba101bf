"""The alarm that vLLM and the trainer disagree about the same tokens."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging

from rewards.errors import UserError

logger = logging.get_logger(__name__)
RATIO = "sampling/importance_sampling_ratio/mean"
DIFFERENCE = "sampling/sampling_logp_difference/mean"


class SamplingAgreement(TrainerCallback):
    """Raises an alarm when trainer and vLLM give the same tokens other probabilities.

    Both are logged by TRL, over the tokens of a step, when
    ``vllm_importance_sampling_correction`` is on. With the same weights, image tokens and pixels,
    the mean importance ratio is 1 and the mean absolute difference of log-probabilities 0, up to
    rounding. The ratio's mean over vLLM's own samples tends to 1 even where the two differ (it is
    the sum of the trainer's probabilities), so the difference is the sharper of the two.
    """

    def __init__(self, max_ratio_deviation: float, max_difference: float, stop: bool) -> None:
        """Set what is still taken for rounding, and whether an alarm ends the run."""
        self.max_ratio_deviation = max_ratio_deviation
        self.max_difference = max_difference
        self.stop = stop
        self.n_alarms = 0

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Look at the step that was just logged.

        Raises:
            UserError: They disagree, and ``stop`` is set.
        """
        logs = logs or {}
        ratio, difference = logs.get(RATIO, 1.0), logs.get(DIFFERENCE, 0.0)
        # Written so that NaN is an alarm, too.
        if abs(ratio - 1.0) <= self.max_ratio_deviation and difference <= self.max_difference:
            return
        self.n_alarms += 1
        message = (
            f"step {state.global_step}: trainer and vLLM disagree about the sampled tokens: mean "
            f"importance ratio {ratio:.3f} (expected 1 +- {self.max_ratio_deviation}), mean "
            f"log-probability difference {difference:.3f} (at most {self.max_difference}). They do "
            "not see the same weights, image tokens or pixels: check the pixel limits saved with "
            "the checkpoint, the dtype, and recipes/image_tokens.py."
        )
        if self.stop:
            raise UserError(message)
        logger.warning(message)
