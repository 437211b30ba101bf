"""What vLLM needs to be told before an engine is made, on any machine."""

import os

import torch
import torch._dynamo


def prepare_engine() -> None:
    """Set what vLLM reads from the environment; call before the engine is made."""
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")  # nothing is sent anywhere
    if torch.cuda.is_available():
        return
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    # vLLM's CPU sampler would compile a small function with g++, which a machine may lack, and
    # which takes longer here than it saves.
    torch._dynamo.config.disable = True
