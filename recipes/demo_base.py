"""Pre-train the demo base model: ``make demo-base`` (an hour on 2 cores, resumable).

The demo needs a model that plays the part of the pre-trained Qwen2.5-VL. This one is pre-trained on
crops of the training photographs alone, degraded in known ways (``data_prep.low_level_tasks``). It
has never seen a test photograph, nor a generated image, nor a verdict.

* Stage 1: the vision tower learns to measure, through heads that are dropped afterwards.
* Stage 2: the whole model learns to say it in words, with TRL's ``SFTTrainer``.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset, Features, Image, Sequence, Value
from PIL import Image as PILImage
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from tqdm import tqdm
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor
from trl import SFTConfig

from data_prep import low_level_tasks as tasks
from data_prep.build_embedded import CROP_PX, fetch_sources
from data_prep.embedded import photograph_ranges
from data_prep.image_statistics import LEVELS, PHRASES, describe
from data_prep.prompts import load_prompts
from recipes.config import parse
from recipes.resume import ResumableSFTTrainer
from recipes.run_folder import last_whole_checkpoint
from recipes.tiny_vlm import HIDDEN, make_model, make_processor, whiten_patch_embedding
from rewards.errors import run_cli

N_PATCHES = (CROP_PX // 14) ** 2
SAVE_EVERY = 250  # vision steps


@dataclass
class BaseArguments:
    """What is not in TRL's SFTConfig."""

    sources: str = field(metadata={"help": "Folder of the source packages; fetched when missing."})
    work_dir: str = field(metadata={"help": "Checkpoints of both stages."})
    model_dir: str = field(metadata={"help": "Gets the finished model, bfloat16."})
    vision_steps: int = field(metadata={"help": "Optimiser steps of stage 1."})
    vision_batch_size: int = field(metadata={"help": "Crops a step of stage 1."})
    vision_learning_rate: float = field(metadata={"help": "Peak learning rate of stage 1."})
    n_conversations: int = field(metadata={"help": "Questions and answers of stage 2."})


class Crops(TorchDataset):
    """Samples by index, as the vision stage wants them."""

    def __init__(
        self, photographs: list[list[PILImage.Image]], seed: int, first: int, n: int
    ) -> None:
        self.photographs, self.seed, self.first, self.n = photographs, seed, first, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tasks.Sample:
        return tasks.make_sample(self.photographs, self.seed, self.first + index)


class Heads(torch.nn.Module):
    """What the pooled vision tokens must tell: operation, strength, statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.operation = torch.nn.Linear(HIDDEN, len(tasks.NAMES))
        self.strength = torch.nn.Linear(HIDDEN, len(tasks.NAMES) * len(tasks.STRENGTHS))
        self.statistics = torch.nn.Linear(HIDDEN, len(PHRASES))

    def loss(self, pooled: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum of the three losses for ``pooled``, shape (batch, HIDDEN)."""
        rows = torch.arange(len(pooled))
        strength = self.strength(pooled).view(len(pooled), len(tasks.NAMES), -1)
        changed = batch["operation"] > 0
        return (
            F.cross_entropy(self.operation(pooled), batch["operation"])
            + F.cross_entropy(
                strength[rows, batch["operation"]][changed], batch["strength"][changed]
            )
            + 2.0 * F.smooth_l1_loss(self.statistics(pooled), batch["statistics"])
        )


def pool(model: Qwen2_5_VLForConditionalGeneration, pixel_values: torch.Tensor) -> torch.Tensor:
    """Return the mean of each image's merged vision tokens, shape (batch, HIDDEN)."""
    side = CROP_PX // 14
    n_images = pixel_values.shape[0] // N_PATCHES
    grid = torch.tensor([[1, side, side]]).repeat(n_images, 1)
    tokens = model.model.visual(pixel_values, grid_thw=grid).pooler_output
    return tokens.view(n_images, N_PATCHES // 4, HIDDEN).mean(dim=1)


def train_vision(
    args: BaseArguments,
    seed: int,
    model: Qwen2_5_VLForConditionalGeneration,
    processor: Qwen2_5_VLProcessor,
) -> None:
    """Stage 1, resumable: changes ``model.model.visual`` in place."""
    sources, work_dir = Path(args.sources), Path(args.work_dir)
    state_file = work_dir / "vision.pt"
    photographs = tasks.load_training_photographs(sources)
    probe = [tasks.make_sample(photographs, seed + 1, index) for index in range(1000)]
    table = torch.tensor([[sample.statistics[name] for name in PHRASES] for sample in probe])
    mean, spread = table.mean(dim=0), table.std(dim=0)

    def collate(samples: list[tasks.Sample]) -> dict[str, torch.Tensor]:
        images = [sample.image for sample in samples]
        values = torch.tensor([[s.statistics[name] for name in PHRASES] for s in samples])
        return {
            "pixel_values": processor.image_processor(images, return_tensors="pt").pixel_values,
            "operation": torch.tensor([sample.operation for sample in samples]),
            "strength": torch.tensor([sample.strength for sample in samples]),
            "statistics": (values - mean) / spread,
        }

    heads = Heads()
    parameters = [*model.model.visual.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=args.vision_learning_rate, weight_decay=0.02)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, args.vision_learning_rate, total_steps=args.vision_steps, pct_start=0.05
    )
    done = 0
    if state_file.is_file():
        state = torch.load(state_file, weights_only=True)
        model.model.visual.load_state_dict(state["visual"])
        heads.load_state_dict(state["heads"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        done = state["step"]
    else:
        whiten_patch_embedding(model, collate(probe[:300])["pixel_values"])
    n_left = (args.vision_steps - done) * args.vision_batch_size
    crops = Crops(photographs, seed, done * args.vision_batch_size, n_left)
    loader = DataLoader(
        crops, args.vision_batch_size, num_workers=1, collate_fn=collate, prefetch_factor=8
    )
    progress = tqdm(loader, desc="vision", initial=done, total=args.vision_steps, mininterval=10)
    for step, batch in enumerate(progress, start=done + 1):
        loss = heads.loss(pool(model, batch["pixel_values"]), batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        scheduler.step()
        progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
        if step % SAVE_EVERY == 0 or step == args.vision_steps:
            state = {
                "step": step,
                "visual": model.model.visual.state_dict(),
                "heads": heads.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(),
            }
            torch.save(state, state_file.with_suffix(".new"))
            os.replace(state_file.with_suffix(".new"), state_file)


def conversations(args: BaseArguments, seed: int) -> Dataset:
    """Return stage 2's questions about crops and their answers."""
    ranges = photograph_ranges()
    system = load_prompts().system

    def generate(sources: str, n: int, seed: int):
        photographs = tasks.load_training_photographs(Path(sources))
        for index in tqdm(range(n), desc="conversations", mininterval=10):
            sample = tasks.make_sample(photographs, seed, index)
            rng = np.random.default_rng([seed, index, 1])
            question, answer = tasks.make_conversation(sample, ranges, rng)
            prompt = [{"role": "user", "content": question}]
            if rng.random() < 0.3:  # the length of prompt that the recipes use
                prompt.insert(0, {"role": "system", "content": system})
            completion = [{"role": "assistant", "content": answer}]
            yield {"images": [sample.image], "prompt": prompt, "completion": completion}

    turn = {"role": Value("string"), "content": Value("string")}
    return Dataset.from_generator(
        generate,
        features=Features({"images": Sequence(Image()), "prompt": [turn], "completion": [turn]}),
        gen_kwargs={"sources": args.sources, "n": args.n_conversations, "seed": seed + 2},
        cache_dir=str(Path(args.work_dir) / "cache"),
    )


def tokenizer_texts() -> list[str]:
    """Return the text that the tokenizer is trained on: all that the demo reads or says."""
    prompts = load_prompts()
    texts = [prompts.system, *prompts.simple, *prompts.hard, tasks.DESCRIBE, tasks.PROCESSED]
    texts += ["<think></think>real", "<think>\n", "\n</think>fake", "real", "fake"]
    texts += [f"It was {name} {strength}." for name in tasks.NAMES for strength in tasks.STRENGTHS]
    texts += [describe(dict.fromkeys(PHRASES, level)) for level in LEVELS]
    texts += ["system\nYou are a helpful assistant.", "user\n", "assistant\n"]
    return texts


def main() -> None:
    """Run both stages and save the model in bfloat16."""
    args, training_args = parse((BaseArguments, SFTConfig))
    sources, work_dir = Path(args.sources), Path(args.work_dir)
    work_dir.mkdir(parents=True, exist_ok=True)
    fetch_sources(sources)
    seed = training_args.seed
    processor = make_processor(tokenizer_texts(), CROP_PX)
    model = make_model(processor, seed)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{n_parameters / 1e6:.2f} M parameters, {len(processor.tokenizer)} tokens")
    train_vision(args, seed, model, processor)
    trainer = ResumableSFTTrainer(
        model=model,
        args=training_args,
        train_dataset=conversations(args, seed),
        processing_class=processor,
    )
    trainer.train(resume_from_checkpoint=last_whole_checkpoint(training_args.output_dir))
    model.bfloat16().save_pretrained(args.model_dir)
    processor.save_pretrained(args.model_dir)
    print(f"Saved the demo base model to {args.model_dir}")


if __name__ == "__main__":
    run_cli(main)
