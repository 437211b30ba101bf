"""What GRPO with vLLM in the same process needs on a machine without a GPU; nothing changes on one.

* TRL starts vLLM without ``enforce_eager``, and vLLM 0.31.0 then compiles the model, which takes
  minutes on a CPU, a C++ compiler, and ``torch.compile``, which ``data_prep.vllm_settings`` turns
  off.
* GRPO sends vLLM new weights after every step. On processors with AVX-512 or AMX, vLLM packs each
  linear layer's weight for oneDNN when the model is loaded and drops the original: TRL's weight
  sync then fails ("'Parameter' object has no attribute 'weight_loader'"), and the output layer,
  which keeps both, would go on with its old packed copy. Here the layers compute with the original.
"""

import functools
from typing import Any

import torch
from trl.generation import vllm_generation


def prepare_colocated_engine() -> None:
    """Make TRL's colocated engine eager and able to take weights; call before the trainer."""
    from vllm import LLM
    from vllm.model_executor.layers import utils
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        vllm_generation.LLM = functools.partial(LLM, enforce_eager=True)
        utils.dispatch_cpu_unquantized_gemm = _use_plain_linear


def _use_plain_linear(layer: Any, remove_weight: bool) -> None:
    layer.cpu_linear = torch.nn.functional.linear
