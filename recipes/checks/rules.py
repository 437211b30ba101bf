"""Settings that are accepted and still fail later, or spoil a run without an error."""

from typing import Any

import numpy as np

from recipes.budget.batches import GroupBatch, Schedule, groups_are_whole
from recipes.budget.memory import CacheRoom
from recipes.budget.model_size import ModelSize
from recipes.budget.tokens import Counts
from recipes.checks.findings import ERROR, NOTE, WARNING, Findings
from recipes.checks.settings import Settings

BF16_LEARNING_RATE = 1e-4  # below, AdamW's steps vanish in bfloat16 weights of usual size (0.02)
TIGHT = 0.9  # share of the memory from which fragments alone may tip a run over
PAPER_PROMPTS = 32


def check_precision(settings: Settings, findings: Findings) -> None:
    """Weights in bfloat16 without a float32 copy do not move at small learning rates."""
    placement, rate = settings.placement, float(settings.values["learning_rate"])
    if placement is None or settings.peft_config is not None:
        return
    if not placement.keeps_float32 and rate < BF16_LEARNING_RATE:
        findings.add(
            ERROR,
            f"dtype bfloat16 under {placement.sharding!r} has no float32 copy of the weights, and "
            f"steps of {rate:g} are rounded away: nothing would be learnt, without an error. Set "
            "dtype: float32 (with bf16: true), or ACCELERATE=fsdp2, zero2 or zero3.",
        )


def check_adapters(settings: Settings, findings: Findings) -> None:
    """Adapters are merged at the end, which sharded weights do not allow."""
    placement = settings.placement
    sharded = placement is not None and placement.sharding not in ("none", "ddp")
    if settings.peft_config is not None and sharded:
        findings.add(
            ERROR,
            "LoRA adapters cannot be merged into sharded weights at the end: take "
            "ACCELERATE=multi_gpu.",
        )


def check_lengths(
    settings: Settings, size: ModelSize, prompts: Counts, answers: Counts, findings: Findings
) -> list[dict[str, Any]]:
    """Compare rows with the limits; return each limit and the share of rows over it.

    Args:
        settings: Of the stage.
        size: The model.
        prompts: Tokens of each row's prompt, image included.
        answers: Of each row's gold answer; empty where there are none.
        findings: Gets what is over.
    """
    limits: list[dict[str, Any]] = []

    def limit(name: str, value: int | None, tokens: Counts, level: str, says: str) -> None:
        if value is None or not len(tokens):
            return
        share = float(np.mean(tokens > value))
        limits.append({"name": name, "limit": value, "share_over": share})
        if share:
            findings.add(
                level,
                f"{100 * share:.2f} % of rows are over {name} = {value} (longest "
                f"{int(tokens.max())}): {says}",
            )

    values = settings.values
    if settings.stage == "sft":
        rows = prompts + answers
        cut = "cut rows lose image tokens or their answer, without an error; set max_length: null."
        limit("max_length", values["max_length"], rows, ERROR, cut)
        model = "the model was not made for so many positions; lower max_pixels."
        limit("the model's positions", size.language.max_positions, rows, ERROR, model)
        return limits
    longest = int(values["max_completion_length"])
    key = "vllm_max_model_length" if settings.stage == "grpo" else "max_model_len"
    context = values[key]
    if settings.stage == "grpo" and context is None and values["use_vllm"]:
        findings.add(
            WARNING,
            f"{key} is not set: vLLM reserves for {size.language.max_positions} tokens a sequence.",
        )
    whole = context or size.language.max_positions
    refused = "vLLM refuses a prompt that fills its context; raise it or lower max_pixels."
    limit(f"{key} for the prompt alone", whole - 1, prompts, ERROR, refused)
    short = "their completions are cut before max_completion_length; raise it."
    limit(f"{key} - max_completion_length", whole - longest, prompts, WARNING, short)
    cut = "answers like the gold ones would be cut, and earn nothing; raise it."
    limit("max_completion_length", longest, answers, WARNING, cut)
    return limits


def check_groups(
    settings: Settings, batch: GroupBatch, schedule: Schedule, findings: Findings
) -> None:
    """What TRL accepts of a GRPO batch and still matters."""
    if settings.on_cpu:
        return
    if not groups_are_whole(batch):
        findings.add(
            WARNING,
            f"a prompt's {batch.num_generations} completions stand on several GPUs "
            f"({batch.per_device} x {batch.steps_per_generation} a GPU): each reads prompt and "
            "image again. Make per_device_train_batch_size x steps_per_generation a multiple of "
            "num_generations.",
        )
    if schedule.rows_per_step != PAPER_PROMPTS:
        findings.add(
            WARNING,
            f"a step sees {schedule.rows_per_step:g} prompts, the paper's {PAPER_PROMPTS}: with "
            f"{batch.n_processes} processes set gradient_accumulation_steps to "
            f"{PAPER_PROMPTS * batch.num_generations / (batch.per_device * batch.n_processes):g}.",
        )
    if not float(settings.values["beta"]):
        findings.add(WARNING, "beta is 0: nothing holds the policy to the SFT model (Eq. 1).")
    if batch.num_iterations == 1 and batch.steps_per_generation <= batch.accumulation:
        findings.add(
            NOTE, "each sample is used once and in one step: the ratio is 1, nothing is clipped."
        )


def check_room(
    needed: float, memory: float, settings: Settings, gpu: str, findings: Findings
) -> None:
    """Compare what a GPU has to hold with what it has."""
    share = needed / memory
    if settings.on_cpu or share <= TIGHT:
        return
    text = (
        f"about {needed / 2**30:.0f} GiB are needed on each GPU, and {gpu} has "
        f"{memory / 2**30:.0f}: "
    )
    ways = "take more GPUs or ACCELERATE=fsdp2 or zero3, lower max_pixels, or train with LoRA"
    if settings.stage == "grpo":
        ways += "; set vllm_enable_sleep_mode: true or a lower vllm_gpu_memory_utilization"
    level, verdict = (ERROR, "it does not fit") if share > 1 else (WARNING, "that is tight")
    findings.add(level, f"{text}{verdict}; {ways}.")


def check_network(sending: float, computing: float, settings: Settings, findings: Findings) -> None:
    """Compare what a step sends with what it computes; the longer of the two decides."""
    if settings.on_cpu or sending <= computing:
        return
    findings.add(
        WARNING,
        f"a step sends for {sending:.1f} s and computes for {computing:.1f} s: the network decides "
        "the hours (network_gbs: one port a node unless you say more). A larger "
        "per_device_train_batch_size with less gradient_accumulation_steps is the same step with "
        "less traffic; ACCELERATE=zero2 sends no weights for a backward.",
    )


def check_cache(
    room: CacheRoom, n_wanted: float, settings: Settings, size: ModelSize, findings: Findings
) -> None:
    """Look at vLLM's share of a GPU."""
    if settings.on_cpu:
        return
    if room.cache <= 0 or room.n_sequences < 1:
        findings.add(
            ERROR,
            f"vLLM's share of a GPU is {room.share / 2**30:.0f} GiB, its weights take "
            f"{room.weights / 2**30:.0f}: no sequence fits into the rest. Raise "
            "gpu_memory_utilization or tensor_parallel_size.",
        )
    elif room.n_sequences < n_wanted:
        findings.add(
            NOTE,
            f"vLLM's cache holds {room.n_sequences:.0f} sequences of the longest length, "
            f"{n_wanted:g} are asked at a time: some may wait.",
        )
    parts = int(settings.values.get("tensor_parallel_size") or 1)
    if size.language.n_heads % parts:
        findings.add(
            ERROR,
            f"tensor_parallel_size {parts} does not divide the model's {size.language.n_heads} "
            "heads; take 1, 2 or 4.",
        )
