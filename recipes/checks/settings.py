"""Resolve a stage's configuration as its recipe would, for N processes, where no GPU need be."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from accelerate.commands.config.config_args import load_config_from_file
from transformers import TrainingArguments
from trl import GRPOConfig, ModelConfig, SFTConfig, get_peft_config

from recipes.budget.batches import GroupBatch, explain_batch
from recipes.budget.memory import Placement
from recipes.checks.findings import ERROR, NOTE, WARNING, Findings
from recipes.config import parse, read_yaml
from recipes.endpoint import EndpointArguments
from recipes.eval import EvalArguments
from recipes.eval_plan import PlanArguments
from recipes.eval_shards import ShardArguments
from recipes.filter import FilterArguments
from recipes.generation import EngineArguments
from recipes.grpo_arguments import GRPOArguments
from recipes.sft import SFTArguments
from rewards.errors import UserError

CONFIGS = Path(__file__).parents[1] / "configs"
ACCELERATE = Path(__file__).parents[2] / "launch" / "accelerate"
STAGES = ("sft", "filter", "grpo", "eval")
CLASSES = {
    "sft": (SFTArguments, SFTConfig, ModelConfig),
    "filter": (FilterArguments, ShardArguments, EngineArguments),
    "grpo": (GRPOArguments, GRPOConfig, ModelConfig),
    "eval": (EvalArguments, PlanArguments, ShardArguments, EndpointArguments, EngineArguments),
}
TRAINS = ("sft", "grpo")
IMAGE_LIMITS = ("min_pixels", "max_pixels", "max_tiles", "chat_template_file")


@dataclass(frozen=True)
class Settings:
    """A stage's resolved configuration.

    Attributes:
        stage: sft, filter, grpo or eval.
        values: Every field of its recipe's classes.
        model: What is measured: the model of the configuration, or what stands in for it.
        dataset: Likewise.
        split: Of the data set.
        limits: Pixel limits, tiles and chat template that hold, those of the checkpoint included.
        n_processes: GPUs.
        placement: How a training stage stands on them; None for the others.
        peft_config: LoRA settings; None: every weight trains.
        on_cpu: Whether the configuration is for a machine without a GPU.
    """

    stage: str
    values: dict[str, Any]
    model: str
    dataset: str
    split: str
    limits: dict[str, Any]
    n_processes: int
    placement: Placement | None
    peft_config: Any
    on_cpu: bool


def require_placement(settings: Settings) -> Placement:
    """Return how a training stage stands on the GPUs.

    Raises:
        ValueError: The stage does not train.
    """
    if settings.placement is None:
        raise ValueError(f"{settings.stage} does not train.")
    return settings.placement


def stages_of(folder: Path) -> list[str]:
    """Return the stages that a configuration folder has a file for.

    Raises:
        UserError: It has none.
    """
    stages = [stage for stage in STAGES if (folder / f"{stage}.yaml").is_file()]
    if not stages:
        there = sorted(path.name for path in CONFIGS.iterdir() if path.is_dir())
        raise UserError(f"{folder} has no {', '.join(STAGES)} .yaml; configurations are {there}.")
    return stages


@contextmanager
def _as_one_of(n_processes: int) -> Iterator[None]:
    """Let TRL check batches against the number of processes that will run, not the one here."""
    stock = TrainingArguments.world_size
    setattr(TrainingArguments, "world_size", property(lambda self: n_processes))  # noqa: B010
    try:
        yield
    finally:
        setattr(TrainingArguments, "world_size", stock)  # noqa: B010


def group_batch(values: dict[str, Any], n_processes: int) -> GroupBatch:
    """Return GRPO's batch settings from a YAML's values, TRL's defaults for the others."""
    defaults = {name: f.default for name, f in GRPOConfig.__dataclass_fields__.items()}
    get = {**defaults, **values}.__getitem__
    accumulation = int(get("gradient_accumulation_steps"))
    per_device = int(get("per_device_train_batch_size"))
    steps = get("steps_per_generation")
    if steps is None and get("generation_batch_size") is not None:
        steps = int(get("generation_batch_size")) // (per_device * n_processes)
    return GroupBatch(
        num_generations=int(get("num_generations")),
        per_device=per_device,
        accumulation=accumulation,
        steps_per_generation=int(steps or accumulation),
        num_iterations=int(get("num_iterations")),
        n_processes=n_processes,
    )


def resolve(folder: Path, stage: str, n_processes: int, options: list[str]) -> dict[str, Any]:
    """Return every field of a stage's classes.

    Args:
        folder: Of the configuration.
        stage: Its stage.
        n_processes: Processes that will run.
        options: Command line that goes over the YAML.

    Raises:
        UserError: The recipe would refuse the configuration.
    """
    argv = ["--config", str(folder / f"{stage}.yaml"), *options]
    if stage in TRAINS:
        argv += ["--use_cpu", "true"]  # else a machine without a GPU refuses bf16
    with _as_one_of(n_processes):
        parsed = parse(CLASSES[stage], argv)
    return {name: value for part in parsed for name, value in vars(part).items()}


def settings_of(
    folder: Path,
    stage: str,
    n_processes: int,
    accelerate: str | None,
    model: str | None,
    data: str | None,
    options: list[str],
    findings: Findings,
) -> Settings:
    """Return a stage's settings; what does not exist yet is stood in for, and said.

    Raises:
        UserError: See ``resolve``.
    """
    written = read_yaml(folder / f"{stage}.yaml")
    if stage == "grpo":
        _check_batch(written, n_processes, options)
    values = resolve(folder, stage, n_processes, options)
    sft = read_yaml(folder / "sft.yaml") if (folder / "sft.yaml").is_file() else {}
    on_cpu = bool(written.get("use_cpu", sft.get("use_cpu", False)))
    wanted = model or str(values["model_name_or_path"])
    chosen, from_run = _stand_in(wanted, str(sft.get("model_name_or_path", wanted)))
    if chosen != wanted:
        findings.add(NOTE, f"{wanted} is not there yet: measured as {chosen}, its start.")
    inherited = sft if from_run and chosen != wanted else {}
    limits = {key: values.get(key) or inherited.get(key) for key in IMAGE_LIMITS}
    _compare_limits(values, sft, from_run, findings)
    dataset = data or _data_stand_in(folder, str(values["dataset_name"]), findings)
    split = str(values.get("train_split") or values.get("split"))
    placement = peft_config = None
    if stage in TRAINS:
        peft_config = get_peft_config(_model_config(values))
        placement = _placement(values, n_processes, accelerate, on_cpu, findings)
    return Settings(
        stage, values, chosen, dataset, split, limits, n_processes, placement, peft_config, on_cpu
    )


def _check_batch(written: dict[str, Any], n_processes: int, options: list[str]) -> None:
    """Say what does not divide, and what would, before TRL says that something does not."""
    given = {o.lstrip("-"): value for o, value in pairwise(options)}
    try:
        reasons = explain_batch(group_batch({**written, **given}, n_processes))
    except ValueError:  # not numbers: the parser says so
        return
    if reasons:
        raise UserError(reasons[0])


def _model_config(values: dict[str, Any]) -> ModelConfig:
    names = {name for name, f in ModelConfig.__dataclass_fields__.items() if f.init}
    return ModelConfig(**{name: value for name, value in values.items() if name in names})


def _stand_in(model: str, start: str) -> tuple[str, bool]:
    """Return the model to measure, and whether the configuration's is one that a stage writes."""
    from_run = model.startswith("runs/") or model != start
    written = not model.startswith("runs/") or (Path(model) / "config.json").is_file()
    return (model if written else start), from_run


def _compare_limits(
    values: dict[str, Any], sft: dict[str, Any], from_run: bool, findings: Findings
) -> None:
    if not from_run:
        return
    for key in IMAGE_LIMITS:
        own, trained = values.get(key), sft.get(key)
        if own is not None and trained is not None and own != trained:
            findings.add(
                ERROR,
                f"{key} is {own} here and {trained} in sft.yaml: the model would be asked with "
                "other tokens than it learnt from. Remove it here; the checkpoint carries it.",
            )


def _data_stand_in(folder: Path, dataset: str, findings: Findings) -> str:
    """Return the data set, or that of the filter where the filter has yet to write it."""
    filter_file = folder / "filter.yaml"
    if Path(dataset).is_dir() or not dataset.startswith("runs/") or not filter_file.is_file():
        return dataset
    unfiltered = str(read_yaml(filter_file)["dataset_name"])
    findings.add(
        NOTE,
        f"{dataset} is not there yet: measured on {unfiltered}, from which the filter takes rows "
        "away, so that rows, steps and hours are upper bounds.",
    )
    return unfiltered


def _placement(
    values: dict[str, Any],
    n_processes: int,
    accelerate: str | None,
    on_cpu: bool,
    findings: Findings,
) -> Placement:
    several = "multi_gpu" if values["use_peft"] else "fsdp2"
    name = accelerate or ("cpu" if on_cpu else "single_gpu" if n_processes == 1 else several)
    path = ACCELERATE / f"{name}.yaml"
    if not path.is_file():
        names = sorted(p.stem for p in ACCELERATE.glob("*.yaml"))
        raise UserError(f"there is no accelerate file {name!r}; launch/accelerate has {names}.")
    config: Any = load_config_from_file(str(path))
    kind = config.distributed_type.value
    if kind == "DEEPSPEED" and importlib.util.find_spec("deepspeed") is None:
        findings.add(
            WARNING, f"{name}.yaml needs DeepSpeed, which is not installed here: take fsdp2."
        )
    if kind == "NO" and n_processes > 1:
        findings.add(
            ERROR,
            f"{name}.yaml starts one process, and {n_processes} are asked for: take multi_gpu, "
            "fsdp2, zero2 or zero3.",
        )
    sharding = {"NO": "none", "MULTI_GPU": "ddp", "FSDP": "fsdp2"}.get(kind)
    if sharding is None:
        sharding = f"zero{config.deepspeed_config['zero_stage']}"
    sync = (values["accelerator_config"].gradient_accumulation_kwargs or {}).get("sync_each_batch")
    return Placement(
        sharding=sharding,
        n_processes=n_processes,
        weight_bytes=4 if values["dtype"] == "float32" else 2,
        autocast=bool(values["bf16"]),
        accumulation=int(values["gradient_accumulation_steps"]),
        sync_each_batch=bool(sync),
    )
