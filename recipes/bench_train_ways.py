"""The contenders of ``make bench-train``: one training run each, with what it took.

``stock`` is what TRL's example scripts for vision-language models do (``sft_vlm.py``,
``grpo_vlm.py``): the plain trainer, its own collator, no workers, rows in random order, images as
they are. Batch, learning rate, loss, rewards and model are the same for all. Stock GRPO has three
fixes of ours, without which its loss would be another one or it would not run: one placeholder an
image, padding on the left, and vLLM's CPU layers (README, "What the stock path gets wrong").
"""

import functools
import itertools
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForImageTextToText, TrainerCallback
from trl import GRPOConfig, ModelConfig, SFTConfig, SFTTrainer
from trl.generation import vllm_generation

from data_prep.vllm_settings import prepare_engine
from recipes.bench_train_arguments import GPU_WAYS, GRPO_WAYS, SFT_WAYS, BenchArguments
from recipes.grpo import HybridGRPOTrainer, make_trainer
from recipes.grpo_arguments import GRPOArguments
from recipes.image_sizing import presized
from recipes.image_tokens import ImageTokenGRPOTrainer
from recipes.patch_embedding import use_linear_patch_embedding
from recipes.resume import ResumableSFTTrainer
from recipes.shared_images import SharesImages, SharesVision
from recipes.vlm import load_processor, vision_modules

BEGIN = time.perf_counter()
N_WARM_UP = 4  # GRPO steps that are not counted, and the steps of the lever that reuses samples
N_LOSSES = 5
WORKERS = {
    "dataloader_num_workers": 1,
    "dataloader_prefetch_factor": 4,
    "dataloader_persistent_workers": True,
}


class Timed:
    """Put before a ``Trainer`` class: keeps how long steps waited for data, and their losses."""

    waits: list[float]
    losses: list[float]

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Fetch the batches of a step."""
        begin = time.perf_counter()
        stock: Any = super()
        result = stock.get_batch_samples(*args, **kwargs)
        self.waits = [*getattr(self, "waits", []), time.perf_counter() - begin]
        return result

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """Keep the loss."""
        stock: Any = super()
        result = stock.compute_loss(*args, **kwargs)
        loss = result[0] if isinstance(result, tuple) else result
        self.losses = [*getattr(self, "losses", []), float(loss.detach())]
        return result


class TimedStockSFT(Timed, SFTTrainer):
    """TRL's."""


class TimedSFT(Timed, ResumableSFTTrainer):
    """Ours."""


class TimedStockGRPO(Timed, ImageTokenGRPOTrainer):
    """TRL's, with the one fix without which it trains on garbage."""


class TimedImagesOnce(Timed, SharesImages, ImageTokenGRPOTrainer):
    """With images decoded and processed once."""


class TimedVisionOnce(Timed, SharesVision, ImageTokenGRPOTrainer):
    """With one run of the vision tower for the copies of an image."""


class TimedGRPO(Timed, HybridGRPOTrainer):
    """Ours."""


class StepEnds(TrainerCallback):
    """Keeps when training began and when each step ended."""

    def __init__(self) -> None:
        """Begin with no step."""
        self.begin, self.ends = 0.0, list[float]()

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Training begins."""
        self.begin = time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """A step ends."""
        self.ends.append(time.perf_counter())


def run_way(args: BenchArguments, rows: Dataset, model: str) -> dict[str, Any]:
    """Run ``args.way``, "stage: name"; return its times, losses and what was checked."""
    stage, _, name = str(args.way).partition(": ")
    has = {**SFT_WAYS, **GRPO_WAYS, **GPU_WAYS}[name] if stage == "grpo" else SFT_WAYS[name]
    prepared = 0.0
    if "presized" in has:
        begin = time.perf_counter()
        processor: Any = load_processor(model)
        rows = presized(rows, processor.image_processor)
        prepared = time.perf_counter() - begin
    steps = StepEnds()
    if stage == "sft":
        trainer: Any = sft_trainer(args, rows, model, has, steps)
        trainer.train()
        warm_up, per_step = len(steps.ends) // 2, args.batch_size
        checks = {"pass_loss": pass_loss(trainer, model)}
    else:
        trainer = grpo_trainer(args, rows, model, has, steps)
        trainer.train()
        warm_up, per_step = N_WARM_UP, 1
        checks = {"prefix_caching": prefix_caching(trainer), **sharing_error(trainer)}
    seconds = steps.ends[-1] - steps.ends[warm_up - 1]
    n_steps = len(steps.ends) - warm_up
    waited = sum(trainer.waits[warm_up : warm_up + n_steps])
    lasted = [after - before for before, after in itertools.pairwise(steps.ends[warm_up - 1 :])]
    return {
        "stage": stage,
        "name": name,
        "prepare_s": prepared,
        "start_s": steps.begin - BEGIN - prepared,
        "warm_up_s": steps.ends[warm_up - 1] - steps.begin,
        "seconds": seconds,
        "rate": n_steps * per_step / seconds,
        "steps_s": [round(seconds, 4) for seconds in lasted],
        "wait_share": waited / seconds,
        "losses": trainer.losses[:N_LOSSES],
        **checks,
    }


def _common(args: BenchArguments, name: str) -> dict[str, Any]:
    return {
        "output_dir": str(Path(args.output_dir) / "runs" / name),
        "seed": args.seed,
        "learning_rate": 1e-5,
        "lr_scheduler_type": "constant",
        "use_cpu": not args.gpu,
        "bf16": args.gpu,
        "gradient_checkpointing": False,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        "disable_tqdm": True,
    }


def sft_trainer(
    args: BenchArguments, rows: Dataset, model: str, has: tuple[str, ...], steps: StepEnds
) -> Any:
    """Return the SFT trainer of a way."""
    settings = _common(args, "sft") | (WORKERS if "workers" in has else {})
    if "grouped" in has:
        settings["train_sampling_strategy"] = "group_by_length"
    config = SFTConfig(
        num_train_epochs=2,
        per_device_train_batch_size=args.batch_size,
        max_length=None,
        **settings,
    )
    # The lever of length grouping needs our sampler; nothing else in our class takes time.
    kind = TimedSFT if "grouped" in has else TimedStockSFT
    loaded = load_model(args, model)
    if "product" in has:
        use_linear_patch_embedding(loaded)
    trainer = kind(
        model=loaded,
        args=config,
        train_dataset=rows,
        processing_class=load_processor(model),
        callbacks=[steps],
    )
    trainer.model_accepts_loss_kwargs = "recipe" in has  # see recipes/sft.py
    return trainer


def load_model(args: BenchArguments, model: str) -> Any:
    """Return the model, float32; bfloat16 on a GPU."""
    dtype = torch.bfloat16 if args.gpu else torch.float32
    return AutoModelForImageTextToText.from_pretrained(model, dtype=dtype)


def pass_loss(trainer: Any, model: str) -> float:
    """Return the mean loss of a token over all rows, with the weights that training began with."""
    start = AutoModelForImageTextToText.from_pretrained(model, dtype=trainer.model.dtype)
    trainer.model.load_state_dict(start.state_dict())
    trainer.model.eval()
    total, n_tokens = 0.0, 0
    with torch.no_grad():
        for batch in trainer.get_train_dataloader():
            n = int((batch["labels"][:, 1:] != -100).sum())
            total += float(trainer.model(**trainer._prepare_inputs(batch)).loss) * n
            n_tokens += n
    return total / n_tokens


def grpo_trainer(
    args: BenchArguments, rows: Dataset, model: str, has: tuple[str, ...], steps: StepEnds
) -> Any:
    """Return the GRPO trainer of a way; loss and rewards are those of the demo for all."""
    kinds: dict[str, type[Any]] = {
        "images": TimedImagesOnce,
        "vision": TimedVisionOnce,
        "recipe": TimedGRPO,
    }
    kind = next((kinds[name] for name in has if name in kinds), TimedStockGRPO)
    if "no_prefix" in has:
        without_prefix_caching()
    config = GRPOConfig(
        max_steps=args.n_steps,
        per_device_train_batch_size=args.n_prompts * args.num_generations,
        num_generations=args.num_generations,
        steps_per_generation=N_WARM_UP if "steps" in has else 1,
        max_completion_length=args.max_completion_length,
        reward_weights=[0.8, 0.1, 0.1],
        loss_type="dr_grpo",
        beta=0.01,
        use_bias_correction_kl=False,
        vllm_importance_sampling_mode="token_truncate",
        vllm_importance_sampling_clip_max=2.0,
        use_vllm=True,
        vllm_mode="colocate",
        vllm_max_model_length=args.vllm_max_model_length,
        vllm_enable_sleep_mode="sleep" in has,
        **_common(args, "grpo"),
    )
    Path(str(config.output_dir)).mkdir(parents=True, exist_ok=True)
    models = ModelConfig(model_name_or_path=model, dtype="bfloat16" if args.gpu else "float32")
    arguments = GRPOArguments(dataset_name="", completions_every=0)
    return make_trainer(arguments, config, models, rows, [steps], kind=kind)


def without_prefix_caching() -> None:
    """Start vLLM without prefix caching, which TRL has no setting for."""
    prepare_engine()
    import vllm

    vllm.LLM = vllm_generation.LLM = functools.partial(vllm.LLM, enable_prefix_caching=False)


def prefix_caching(trainer: Any) -> bool:
    """Return whether the trainer's vLLM caches prefixes."""
    engine = trainer.vllm_generation.llm.llm_engine
    return bool(engine.vllm_config.cache_config.enable_prefix_caching)


def sharing_error(trainer: Any) -> dict[str, float]:
    """Return how far the loss of the last batch is from that without shared vision, relative."""
    if not issubclass(type(trainer), SharesVision):
        return {}
    inputs = trainer._buffered_inputs[0]
    trainer.model.eval()
    with torch.no_grad():
        shared = float(trainer.compute_loss(trainer.model, inputs))
        for tower in vision_modules(trainer.model):
            tower._forward_hooks.clear()
            tower._forward_pre_hooks.clear()
        plain = float(trainer.compute_loss(trainer.model, inputs))
    return {"loss_shared": shared, "loss_unshared": plain}
