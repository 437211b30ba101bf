"""Weights that small steps can move."""

from typing import Any

import torch

from rewards.errors import UserError


def check_master_weights(trainer: Any) -> None:
    """Refuse to train 16-bit weights that nothing keeps a float32 copy of.

    bfloat16 has 8 bits of precision: a weight moves when a step is at least 0.2 to 0.4 % of it, and
    at a learning rate of 1e-6 (Sec. 4.1) hardly a weight of a 7B model gets one. The loss looks
    alive, and the model stays where it was. DeepSpeed and FSDP keep float32 copies of their own.

    Raises:
        UserError: A trained weight is of 16 bits, without DeepSpeed or FSDP.
    """
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        return
    trained = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    low = sorted({str(weight.dtype) for weight in trained if weight.dtype != torch.float32})
    if low:
        raise UserError(
            f"the weights to train are {', '.join(low)}: steps of learning rate "
            f"{trainer.args.learning_rate} are rounded away. Set dtype: float32 and bf16: true "
            "(float32 weights, bfloat16 arithmetic), or launch with DeepSpeed or FSDP."
        )
