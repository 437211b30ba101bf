"""Keep vLLM's CPU back end able to take new weights, which GRPO sends it after every step.

On processors with AVX-512 or AMX, vLLM 0.31.0 packs each linear layer's weight for oneDNN when the
model is loaded and drops the original: TRL's weight sync then fails ("'Parameter' object has no
attribute 'weight_loader'"), and the output layer, which keeps both, would go on with its old packed
copy. Here the layers compute with the original weight instead. Nothing changes on a GPU.
"""

from typing import Any

import torch


def keep_plain_weights() -> None:
    """Make vLLM's CPU back end compute with the original weights; call before ``LLM``."""
    from vllm.model_executor.layers import utils
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        utils.dispatch_cpu_unquantized_gemm = _use_plain_linear


def _use_plain_linear(layer: Any, remove_weight: bool) -> None:
    layer.cpu_linear = torch.nn.functional.linear
