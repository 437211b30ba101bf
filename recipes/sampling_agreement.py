"""The alarm that vLLM and the trainer disagree about the same tokens."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging

logger = logging.get_logger(__name__)
RATIO = "sampling/importance_sampling_ratio/mean"


class SamplingAgreement(TrainerCallback):
    """Warns when the mean importance ratio between trainer and vLLM leaves 1 +- ``max_deviation``.

    The ratio is 1 up to rounding when both see the same weights, the same image tokens and the same
    pixels. Doubled image tokens (``recipes.image_tokens``) show here first.
    """

    def __init__(self, max_deviation: float) -> None:
        """Set the deviation from 1 that is still taken for rounding."""
        self.max_deviation = max_deviation
        self.n_off = 0

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Look at the ratio of the step that was just logged."""
        ratio = (logs or {}).get(RATIO)
        if ratio is None or abs(ratio - 1.0) <= self.max_deviation:
            return
        self.n_off += 1
        logger.warning(
            f"step {state.global_step}: the mean importance ratio between trainer and vLLM is "
            f"{ratio:.3f}, outside 1 +- {self.max_deviation}: they do not see the same model, image "
            "tokens or pixels. Check the pixel limits saved with the checkpoint and the dtype."
        )
