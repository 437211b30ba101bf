"""Check one stage: everything that is known of it, as plain JSON."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from recipes.budget.assumptions import Assumptions
from recipes.budget.batches import explain_batch, grpo_schedule, sft_schedule
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
from recipes.budget.tokens import describe, histogram
from recipes.budget.traffic import step_traffic
from recipes.checks import rules
from recipes.checks.data import scan_data
from recipes.checks.findings import ERROR, WARNING, Findings
from recipes.checks.model import Measured, measure
from recipes.checks.scan import Scan
from recipes.checks.settings import Settings, group_batch
from rewards import QUESTION_BANKS
from rewards.errors import UserError

Report = dict[str, Any]


def check_stage(
    settings: Settings,
    gpu: Gpu,
    assumed: Assumptions,
    max_rows: int | None,
    max_images: int,
    findings: Findings,
) -> Report:
    """Return what is known of a stage; what is wrong goes to ``findings``."""
    report: Report = {
        "stage": settings.stage,
        "model": settings.model,
        "dataset": settings.dataset,
        "n_processes": settings.n_processes,
        "sharding": settings.placement and settings.placement.sharding,
    }
    if settings.placement is not None:
        rules.check_precision(settings, findings)
        rules.check_adapters(settings, findings)
    try:
        measured = measure(settings, findings)
    except UserError as error:
        findings.add(ERROR, str(error))
        return report
    report["parameters"] = {
        **measured.size.n_parameters,
        "total": measured.size.total,
        "trainable": measured.size.trainable,
        "source": measured.size.source,
    }
    found = scan_data(
        settings.stage,
        settings.dataset,
        settings.split,
        measured.text,
        max_rows,
        max_images,
        findings,
    )
    if found is None or not found[0].n_rows:
        return report
    scan, n_rows = found
    report["rows"] = {
        "total": n_rows,
        "looked_at": scan.n_rows,
        "labels": dict(scan.labels),
        "banks": dict(scan.banks),
        "bad_gold_answers": dict(scan.faults),
    }
    tokens = _row_tokens(settings, measured, scan, assumed, findings)
    answers = scan.answer_tokens
    report["tokens"] = _token_report(tokens, measured, scan)
    report["limits"] = rules.check_lengths(
        settings, measured.size, tokens.prompt, answers, findings
    )
    stage = _train if settings.placement is not None else _sample
    report |= stage(settings, measured, tokens, n_rows, gpu, assumed, findings)
    return report


def _row_tokens(
    settings: Settings,
    measured: Measured,
    scan: Scan,
    assumed: Assumptions,
    findings: Findings,
) -> RowTokens:
    """Return the tokens of the rows whose image size is known."""
    known = scan.known_sizes
    sizes = scan.sizes[known]
    patches, image = measured.images.count(sizes[:, 0], sizes[:, 1])
    if settings.stage == "eval" or not len(scan.prompt_tokens):
        text = _asked(settings, measured)[np.arange(len(image)) % len(QUESTION_BANKS)]
    else:
        text = scan.prompt_tokens[known]
    if len(scan.answer_tokens):
        answer = scan.answer_tokens[known]
    else:
        answer = np.full(len(image), assumed.answer_tokens)
        findings.add(
            WARNING,
            f"there are no gold answers: completions are taken to have {assumed.answer_tokens} "
            "tokens (answer_tokens).",
        )
    return RowTokens(prompt=text + image, answer=answer, patches=patches)


def _asked(settings: Settings, measured: Measured) -> Any:
    """Return the mean tokens of a prompt of each bank that the evaluation asks."""
    from data_prep.prompts import load_prompts

    prompts = load_prompts(settings.values.get("prompts_file"))
    means = []
    for bank in QUESTION_BANKS:
        counts = [
            measured.text.prompt(
                tuple((turn["role"], turn["content"]) for turn in prompts.messages(question))
            )
            for question in getattr(prompts, bank)
        ]
        means.append(round(sum(counts) / len(counts)))
    return np.array(means)


def _token_report(tokens: RowTokens, measured: Measured, scan: Scan) -> Report:
    total = tokens.prompt + tokens.answer
    tile = measured.size.vision.tile_patches
    return {
        "exact": measured.text.exact,
        "image_sizes_known": int(scan.known_sizes.sum()),
        "prompt": describe(tokens.prompt),
        "answer": describe(tokens.answer),
        "patches": describe(tokens.patches),
        "tiles": None if tile is None else describe(tokens.patches // tile),
        "row": describe(total),
        "histogram": histogram(total),
    }


def _train(
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
        cost = _grpo_cost(settings, measured, tokens, batch, schedule, gpu, assumed)
    memory = _memory(settings, measured, tokens, room, gpu, findings)
    if room is not None and batch is not None:
        wanted = batch.per_device * batch.steps_per_generation
        rules.check_cache(room, wanted, settings, measured.size, findings)
    return {
        "schedule": asdict(schedule),
        "memory": memory,
        "vllm": room and asdict(room),
        **_cost_report(cost, schedule.steps, settings, gpu, n),
        "traffic_gb_per_step": _traffic(settings, measured) / 1e9,
    }


def _grpo_cost(
    settings: Settings,
    measured: Measured,
    tokens: RowTokens,
    batch: Any,
    schedule: Any,
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


def _room(settings: Settings, measured: Measured, gpu: Gpu, key: str) -> CacheRoom | None:
    """Return vLLM's share of a GPU; None without vLLM in the process."""
    values, stage = settings.values, settings.stage
    if stage == "grpo" and not (values["use_vllm"] and values["vllm_mode"] == "colocate"):
        return None
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
    values, placement = settings.values, settings.placement
    assert placement is not None  # a training stage has one
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
    placement = settings.placement
    assert placement is not None  # a training stage has one
    return step_traffic(
        placement.sharding,
        measured.size.total,
        measured.size.trainable,
        placement.n_processes,
        placement.accumulation,
        gradient_bytes=placement.weight_bytes if placement.sharding == "ddp" else 2,
        sync_each_batch=placement.sync_each_batch,
    ).total


def _sample(
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
    per_row = int(values.get("num_generations") or len(QUESTION_BANKS))
    completions = n_rows * per_row
    prompts = n_rows if settings.stage == "filter" else completions
    room = _room(settings, measured, gpu, "gpu_memory_utilization")
    assert room is not None  # only GRPO can do without vLLM
    wanted = min(int(values["max_num_seqs"]), completions)
    rules.check_cache(room, wanted, settings, measured.size, findings)
    at_a_time = max(1.0, min(wanted, room.n_sequences if not settings.on_cpu else wanted))
    engines = settings.n_processes / int(values["tensor_parallel_size"])
    n_steps = completions * float(tokens.answer.mean()) / (at_a_time * engines)
    sampling = Sampling(completions, prompts, at_a_time, n_steps)
    cost = sampling_cost(measured.size, tokens, sampling, gpu, settings.n_processes, assumed)
    return {
        "schedule": {"completions": completions},
        "vllm": asdict(room),
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


def config_folder(name: str, configs: Path) -> Path:
    """Return a configuration's folder.

    Raises:
        UserError: There is none of that name.
    """
    folder = configs / name
    if not folder.is_dir():
        names = sorted(path.name for path in configs.iterdir() if path.is_dir())
        raise UserError(f"there is no configuration {name!r}; recipes/configs has {names}.")
    return folder
