"""FLOPs and hours of a stage, from its rows' tokens."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from recipes.budget.assumptions import Assumptions
from recipes.budget.flops import (
    decode_flops,
    decode_seconds,
    forward_flops,
    prefill_flops,
    training_flops,
)
from recipes.budget.gpus import Gpu
from recipes.budget.model_size import ModelSize
from recipes.budget.tokens import Counts


@dataclass(frozen=True)
class RowTokens:
    """Tokens of the rows whose image sizes are known; arrays of one length.

    Attributes:
        prompt: Text and image.
        answer: Gold answers, or the length assumed for a completion.
        patches: Of the image.
    """

    prompt: Counts
    answer: Counts
    patches: Counts


@dataclass(frozen=True)
class Cost:
    """What a stage computes and how long that takes.

    Attributes:
        model_flops: Forward and backward that the method needs, and reading prompts.
        hardware_flops: With repeated, reference and sampling forwards.
        compute_seconds: Hardware FLOPs over what all GPUs do at the assumed utilisation.
        writing_seconds: Writing completions, bound by the GPU's memory.
    """

    model_flops: float
    hardware_flops: float
    compute_seconds: float
    writing_seconds: float

    @property
    def seconds(self) -> float:
        """Return the sum."""
        return self.compute_seconds + self.writing_seconds


def sft_cost(
    size: ModelSize,
    rows: RowTokens,
    n_seen: float,
    checkpointing: bool,
    gpu: Gpu,
    n_processes: int,
    assumed: Assumptions,
) -> Cost:
    """Return the cost of training on ``n_seen`` rows like ``rows``; padding is left out."""
    flops = training_flops(
        size, rows.patches, rows.prompt + rows.answer, rows.answer, checkpointing=checkpointing
    )
    model = float(np.mean(flops.model)) * n_seen
    hardware = float(np.mean(flops.hardware)) * n_seen
    seconds = hardware / (n_processes * gpu.flops * assumed.utilisation)
    return Cost(model, hardware, seconds, 0.0)


@dataclass(frozen=True)
class Sampling:
    """How completions are written.

    Attributes:
        n_completions: In all.
        prompts_read: Prompts that are read: one a group where its completions share a cache.
        n_at_a_time: Sequences that a GPU writes at a time.
        n_steps: Tokens that a GPU writes one after another, in all.
    """

    n_completions: float
    prompts_read: float
    n_at_a_time: float
    n_steps: float


def sampling_cost(
    size: ModelSize,
    rows: RowTokens,
    sampling: Sampling,
    gpu: Gpu,
    n_processes: int,
    assumed: Assumptions,
) -> Cost:
    """Return the cost of reading prompts and writing completions."""
    read = float(np.mean(prefill_flops(size, rows.patches, rows.prompt))) * sampling.prompts_read
    prompt, answer = float(rows.prompt.mean()), float(rows.answer.mean())
    written = float(decode_flops(size, prompt, answer)) * sampling.n_completions
    writing = decode_seconds(
        size,
        sampling.n_steps,
        sampling.n_at_a_time,
        prompt + answer / 2,
        gpu.bandwidth * assumed.bandwidth_share,
    )
    compute = read / (n_processes * gpu.flops * assumed.utilisation)
    return Cost(read + written, read + written, compute, writing)


def grpo_cost(
    size: ModelSize,
    rows: RowTokens,
    sampling: Sampling,
    n_trained: float,
    n_extra_forwards: int,
    checkpointing: bool,
    gpu: Gpu,
    n_processes: int,
    assumed: Assumptions,
) -> Cost:
    """Return the cost of GRPO: sampling, forwards without gradient, training.

    Args:
        size: The policy.
        rows: Prompts and completions.
        sampling: How completions are written.
        n_trained: Completions in the loss, each as often as it is used.
        n_extra_forwards: Forwards a completion without gradient: one for the reference
            (``beta`` above 0), one for the policy's own probabilities (correction of vLLM's).
        checkpointing: Whether blocks are computed again in the backward.
        gpu: Of the table.
        n_processes: GPUs.
        assumed: Utilisation.
    """
    tokens = rows.prompt + rows.answer
    trained = training_flops(size, rows.patches, tokens, rows.answer, checkpointing=checkpointing)
    parts: Any = forward_flops(size, rows.patches, tokens, rows.answer)
    extra = float(np.mean(sum(parts.values()))) * n_extra_forwards * sampling.n_completions
    hardware = float(np.mean(trained.hardware)) * n_trained + extra
    model = float(np.mean(trained.model)) * n_trained
    sampled = sampling_cost(size, rows, sampling, gpu, n_processes, assumed)
    seconds = hardware / (n_processes * gpu.flops * assumed.utilisation)
    return Cost(
        model + sampled.model_flops,
        hardware + sampled.hardware_flops,
        seconds + sampled.compute_seconds,
        sampled.writing_seconds,
    )
