"""Schedule, memory, FLOPs and hours of a stage, as plain JSON."""

from dataclasses import asdict
from typing import Any

import numpy as np

from recipes.budget.assumptions import Assumptions
from recipes.budget.batches import GroupBatch, Schedule, explain_batch, grpo_schedule, sft_schedule
from recipes.budget.costs import (
    Cost,
    RowTokens,
    Sampling,
    grpo_cost,
    sampling_cost,
    sft_cost,
)
from recipes.budget.gpus import Gpu
from recipes.budget.memory import (
    CacheRoom,
    activation_bytes,
    gathered_bytes,
    reference_bytes,
    state_bytes,
    total_bytes,
    vllm_bytes,
)
from recipes.budget.traffic import step_traffic, traffic_seconds
from recipes.checks import rules
from recipes.checks.findings import ERROR, Findings
from recipes.checks.model import Measured
from recipes.checks.settings import Settings, group_batch, require_placement
from rewards import QUESTION_BANKS

Report = dict[str, Any]


def train_report(
    settings: Settings,
    measured: Measured,
    tokens: RowTokens,
    n_rows: int,
    gpu: Gpu,
    assumed: Assumptions,
    findings: Findings,
) -> Report:
    values, n = settings.values, settings.n_processes
    accumulation = int(values["gradient_accumulation_steps"])
    per_device = int(values["per_device_train_batch_size"])
    checkpointing = bool(values["gradient_checkpointing"])
    batch = None
    if settings.stage == "sft":
        schedule = sft_schedule(
            n_rows,
            per_device,
            accumulation,
            n,
            values["num_train_epochs"],
            values["max_steps"],
        )
        n_seen = min(schedule.steps * schedule.rows_per_step, schedule.epochs * n_rows)
        cost = sft_cost(measured.size, tokens, n_seen, checkpointing, gpu, n, assumed)
        room = None
    else:
        batch = group_batch(values, n)
        reasons = explain_batch(batch, n_rows)
        for reason in reasons:
            findings.add(ERROR, reason)
        if reasons:
            return {}
        schedule = grpo_schedule(
            n_rows, batch, values["num_train_epochs"], int(values["max_steps"])
        )
        rules.check_groups(settings, batch, schedule, findings)
        room = _room(settings, measured, gpu, "vllm_gpu_memory_utilization")
        if settings.on_cpu or not (values["use_vllm"] and values["vllm_mode"] == "colocate"):
            room = None
        cost = _grpo_cost(settings, measured, tokens, batch, schedule, gpu, assumed)
    memory = _memory(settings, measured, tokens, room, gpu, findings)
    sent, network = _traffic(settings, measured), assumed.network
    computing = cost.compute_seconds / schedule.steps
    rules.check_network(traffic_seconds(sent, network), computing, settings, findings)
    if room is not None and batch is not None:
        wanted = batch.per_device * batch.steps_per_generation
        rules.check_cache(room, wanted, settings, measured.size, findings)
    return {
        "schedule": asdict(schedule),
        "memory": memory,
        "vllm": room and asdict(room),
        **_cost_report(cost, schedule.steps, settings, gpu, n),
        "traffic": {"bytes_per_step": sent, "seconds_per_step": traffic_seconds(sent, network)},
    }


def _grpo_cost(
    settings: Settings,
    measured: Measured,
    tokens: RowTokens,
    batch: GroupBatch,
    schedule: Schedule,
    gpu: Gpu,
    assumed: Assumptions,
) -> Cost:
    values = settings.values
    generations = schedule.completions / batch.generation_batch
    whole = rules.groups_are_whole(batch)
    sampling = Sampling(
        n_completions=schedule.completions,
        prompts_read=schedule.completions / (batch.num_generations if whole else 1),
        n_at_a_time=batch.per_device * batch.steps_per_generation,
        # A generation waits for its longest completion.
        n_steps=generations * float(np.percentile(tokens.answer, 99)),
    )
    corrects = values["use_vllm"] and values["vllm_importance_sampling_correction"]
    misaligned = batch.steps_per_generation % batch.accumulation or batch.num_iterations > 1
    n_extra = int(float(values["beta"]) > 0) + int(bool(corrects or misaligned))
    n_trained = schedule.steps * schedule.rows_per_step * batch.num_generations
    return grpo_cost(
        measured.size,
        tokens,
        sampling,
        n_trained,
        n_extra,
        bool(values["gradient_checkpointing"]),
        gpu,
        settings.n_processes,
        assumed,
    )


def _room(settings: Settings, measured: Measured, gpu: Gpu, key: str) -> CacheRoom:
    """Return vLLM's share of a GPU."""
    values, stage = settings.values, settings.stage
    parallel = "vllm_tensor_parallel_size" if stage == "grpo" else "tensor_parallel_size"
    length = values["vllm_max_model_length" if stage == "grpo" else "max_model_len"]
    return vllm_bytes(
        measured.size,
        gpu.memory,
        float(values[key]),
        int(length or measured.size.language.max_positions),
        int(values[parallel]),
        weight_bytes=4 if values["dtype"] == "float32" else 2,
    )


def _memory(
    settings: Settings,
    measured: Measured,
    tokens: RowTokens,
    room: CacheRoom | None,
    gpu: Gpu,
    findings: Findings,
) -> Report:
    values, placement = settings.values, require_placement(settings)
    items = state_bytes(measured.size, placement)
    items["gathered layers, buffers"] = gathered_bytes(measured.size, placement)
    if settings.stage == "grpo" and float(values["beta"]) > 0:
        items["reference"] = reference_bytes(measured.size, placement)
    longest_answer = tokens.answer.max()
    if settings.stage == "grpo":
        longest_answer = max(longest_answer, values["max_completion_length"])
    items["activations"] = activation_bytes(
        measured.size,
        int(values["per_device_train_batch_size"]),
        float(tokens.prompt.max() + longest_answer),
        float(tokens.patches.max()),
        float(longest_answer),
        checkpointing=bool(values["gradient_checkpointing"]),
        residual_bytes=4 if placement.sharding in ("none", "ddp") else 2,
    )
    if room is not None and not values["vllm_enable_sleep_mode"]:
        items["vLLM"] = room.share
    total = total_bytes(items)
    rules.check_room(total, gpu.memory, settings, gpu.name, findings)
    return {**{name: float(value) for name, value in items.items()}, "total": total}


def _traffic(settings: Settings, measured: Measured) -> float:
    placement = require_placement(settings)
    return step_traffic(
        placement.sharding,
        measured.size.total,
        measured.size.trainable,
        placement.n_processes,
        placement.accumulation,
        gradient_bytes=placement.weight_bytes if placement.sharding == "ddp" else 2,
        sync_each_batch=placement.sync_each_batch,
    ).total


def sample_report(
    settings: Settings,
    measured: Measured,
    tokens: RowTokens,
    n_rows: int,
    gpu: Gpu,
    assumed: Assumptions,
    findings: Findings,
) -> Report:
    """Return the cost of the filter or the evaluation, one engine a GPU."""
    values = settings.values
    n_rows = min(n_rows, values["max_rows"] or n_rows)
    if settings.stage == "filter":
        prompts = n_rows * (len(QUESTION_BANKS) if values["measure"] == "both" else 1)
        completions = prompts * int(values["num_generations"])
    else:
        prompts = n_rows * len(values["modes"])
        completions = prompts * (1 + int(values["num_samples"] or 0))
    room = _room(settings, measured, gpu, "gpu_memory_utilization")
    wanted = min(int(values["max_num_seqs"]), completions)
    rules.check_cache(room, wanted, settings, measured.size, findings)
    at_a_time = max(1.0, min(wanted, room.n_sequences if not settings.on_cpu else wanted))
    engines = settings.n_processes / int(values["tensor_parallel_size"])
    n_steps = completions * float(tokens.answer.mean()) / (at_a_time * engines)
    sampling = Sampling(completions, prompts, at_a_time, n_steps)
    cost = sampling_cost(measured.size, tokens, sampling, gpu, settings.n_processes, assumed)
    return {
        "schedule": {"completions": completions},
        "vllm": None if settings.on_cpu else asdict(room),
        **_cost_report(cost, None, settings, gpu, settings.n_processes),
    }


def _cost_report(
    cost: Cost, n_steps: int | None, settings: Settings, gpu: Gpu, n_processes: int
) -> Report:
    report: Report = {
        "flops": {"model": cost.model_flops, "hardware": cost.hardware_flops},
        "peak_flops_a_second": gpu.flops * n_processes,
    }
    if not settings.on_cpu:
        report["hours"] = {
            "computing": cost.compute_seconds / 3600,
            "writing": cost.writing_seconds / 3600,
            "total": cost.seconds / 3600,
        }
        if n_steps:
            report["seconds_per_step"] = cost.seconds / n_steps
    return report
