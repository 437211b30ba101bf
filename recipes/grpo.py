"""HGRPO (Sec. 2.2 of Fake-HR1): TRL's GRPOTrainer with vLLM and R = 0.8 acc + 0.1 format + 0.1 hybrid.

    make grpo CONFIG=demo                           a few minutes on 2 cores, no GPU

Eq. 1 to 3 in TRL's terms, with what departs from the paper, stand in the YAML beside each value. Starts
from the SFT checkpoint, which is also the reference policy of Eq. 1. A run that was killed goes on from
its last whole checkpoint.
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from trl import GRPOConfig, ModelConfig, get_peft_config

from data_prep.loading import SAMPLING_COLUMNS, load_rows
from recipes.config import parse
from recipes.image_tokens import ImageTokenGRPOTrainer, vision_token_ban
from recipes.plots import plot_log
from recipes.run_folder import JsonlLogger, last_whole_checkpoint, open_run, resolved_config
from recipes.sampling_agreement import SamplingAgreement
from recipes.vlm import load_processor
from rewards import HybridReward, accuracy_reward, format_reward
from rewards.errors import run_cli
from rewards.files import write_json

PLOTTED = [
    "reward",
    "rewards/accuracy_reward/mean",
    "rewards/format_reward/mean",
    "rewards/hybrid_reward/mean",
    "thinking_rate/simple",
    "thinking_rate/hard",
    "completion_length/simple",
    "completion_length/hard",
    "frac_reward_zero_std",
    "kl",
    "sampling/importance_sampling_ratio/mean",
]


@dataclass
class GRPOArguments:
    """What is not in TRL's GRPOConfig and ModelConfig."""

    dataset_name: str = field(metadata={"help": "Data set folder or hub id: what the filter kept."})
    train_split: str = field(default="train", metadata={"help": "Split to train on."})
    hard_bank: str = field(
        default="require_thinking",
        metadata={"help": "Hybrid reward on hard questions: require_thinking (ours) or neutral."},
    )
    min_pixels: int | None = field(default=None, metadata={"help": "Images are enlarged to this."})
    max_pixels: int | None = field(default=None, metadata={"help": "Images are shrunk to this."})
    max_ratio_deviation: float = field(
        default=0.05,
        metadata={"help": "Warn when the mean importance ratio is further from 1 than this."},
    )
    restart: bool = field(default=False, metadata={"help": "Throw away what output_dir holds."})


def main() -> None:
    """Train, then save model, processor and log."""
    args, training_args, model_args = parse((GRPOArguments, GRPOConfig, ModelConfig))
    processor = load_processor(model_args.model_name_or_path, args.min_pixels, args.max_pixels)
    train_rows = load_rows(args.dataset_name, args.train_split, SAMPLING_COLUMNS)
    if args.restart:
        shutil.rmtree(training_args.output_dir, ignore_errors=True)
    config = resolved_config(args, training_args, model_args)
    open_run(training_args.output_dir, config, train_rows, training_args.seed)

    # Read by vLLM's CPU back end; without effect on a GPU.
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    training_args.generation_kwargs = {
        "logit_bias": vision_token_ban(processor.tokenizer),
        **(training_args.generation_kwargs or {}),
    }
    training_args.model_init_kwargs = {
        "dtype": model_args.dtype,
        "attn_implementation": model_args.attn_implementation,
    }
    agreement = SamplingAgreement(args.max_ratio_deviation)
    trainer = ImageTokenGRPOTrainer(
        model=model_args.model_name_or_path,
        reward_funcs=[accuracy_reward, format_reward, HybridReward(args.hard_bank)],
        args=training_args,
        train_dataset=train_rows,
        processing_class=processor,
        peft_config=get_peft_config(model_args),
        callbacks=[JsonlLogger(), agreement],
    )
    trainer.train(resume_from_checkpoint=last_whole_checkpoint(training_args.output_dir))
    trainer.save_model()
    if trainer.is_world_process_zero():
        output_dir = Path(training_args.output_dir)
        plot_log(output_dir, PLOTTED)
        # Written last: a run folder with a summary is a finished run.
        summary = {
            "global_step": trainer.state.global_step,
            "n_rows": len(train_rows),
            "n_steps_with_ratio_off": agreement.n_off,
        }
        write_json(output_dir / "summary.json", summary)


if __name__ == "__main__":
    run_cli(main)
