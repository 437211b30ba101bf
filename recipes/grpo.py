"""HGRPO (Sec. 2.2 of Fake-HR1): TRL's GRPOTrainer with vLLM and the three rewards of Eq. 3.

    make grpo CONFIG=demo                           a few minutes on 2 cores, no GPU

Eq. 1 to 3 in TRL's terms, with what departs from the paper, stand in the YAML beside each value.
Starts from the SFT checkpoint, which is also the reference policy of Eq. 1. A run that was killed
goes on from its last whole checkpoint.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import GRPOConfig, ModelConfig, get_peft_config

from data_prep.loading import SAMPLING_COLUMNS, load_rows
from recipes.config import parse
from recipes.generation import prepare_engine
from recipes.image_tokens import ImageTokenGRPOTrainer, vision_token_ban
from recipes.interruption import StopOnSignal, exit_if_interrupted
from recipes.plots import plot_log
from recipes.resume import ResumesWeights
from recipes.run_folder import JsonlLogger, last_whole_checkpoint, open_run, resolved_config
from recipes.sampling_agreement import SamplingAgreement
from recipes.vllm_on_cpu import prepare_colocated_engine
from recipes.vlm import check_model, load_processor
from recipes.world import check_world
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
    "sampling/sampling_logp_difference/mean",
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
    max_ratio_deviation: float = field(
        default=0.05,
        metadata={"help": "Alarm when a step's mean ratio is further from 1."},
    )
    max_logp_difference: float = field(
        default=0.03, metadata={"help": "Alarm when a step's mean |log-prob. gap| is larger."}
    )
    stop_on_alarm: bool = field(
        default=False, metadata={"help": "End the run at an alarm; default: warn."}
    )
    restart: bool = field(default=False, metadata={"help": "Throw away what output_dir holds."})


class HybridGRPOTrainer(ResumesWeights, ImageTokenGRPOTrainer):
    """TRL's GRPOTrainer with the fixes that Qwen2.5-VL needs; see the modules of its parents."""


def make_trainer(
    args: GRPOArguments,
    training_args: GRPOConfig,
    model_args: ModelConfig,
    train_rows: Dataset,
    agreement: SamplingAgreement,
) -> HybridGRPOTrainer:
    """Return TRL's trainer with vLLM, the three rewards and the log.

    Pixel limits are the checkpoint's: vLLM reads them there, and both must see the same tokens.
    """
    model = str(model_args.model_name_or_path)
    processor = load_processor(model)
    # TRL 1.16.0 pads prompts on the left, but the mask of image tokens, from which the positions
    # follow, as the processor says: on the right, every padded row would get wrong positions.
    processor.tokenizer.padding_side = "left"
    if training_args.use_vllm:
        if training_args.world_size == 1:
            # accelerate sets one port for all runs; TRL takes 0 for "find a free one".
            os.environ["MASTER_PORT"] = "0"
        prepare_engine()
        prepare_colocated_engine()
        ban: Any = {"logit_bias": vision_token_ban(processor.tokenizer)}
        training_args.generation_kwargs = ban | (training_args.generation_kwargs or {})
    training_args.model_init_kwargs = {
        "dtype": model_args.dtype,
        "attn_implementation": model_args.attn_implementation,
    }
    return HybridGRPOTrainer(
        model=model,
        reward_funcs=[accuracy_reward, format_reward, HybridReward(args.hard_bank)],
        args=training_args,
        train_dataset=train_rows,
        processing_class=processor,
        peft_config=get_peft_config(model_args),
        callbacks=[JsonlLogger(), agreement],
    )


def main() -> None:
    """Train, then save model, processor and log."""
    args, training_args, model_args = parse((GRPOArguments, GRPOConfig, ModelConfig))
    check_world(training_args)
    check_model(model_args.model_name_or_path)
    train_rows = load_rows(args.dataset_name, args.train_split, SAMPLING_COLUMNS)
    output_dir = Path(training_args.output_dir)
    with training_args.main_process_first(local=False):
        if training_args.process_index == 0:
            open_run(output_dir, resolved_config(args, training_args, model_args), train_rows)
    agreement = SamplingAgreement(
        args.max_ratio_deviation, args.max_logp_difference, args.stop_on_alarm
    )
    trainer = make_trainer(args, training_args, model_args, train_rows, agreement)
    stop = StopOnSignal()
    trainer.add_callback(stop)
    trainer.train(resume_from_checkpoint=last_whole_checkpoint(output_dir))
    exit_if_interrupted(trainer, stop)
    trainer.save_model()
    if trainer.is_world_process_zero():
        plot_log(output_dir, PLOTTED)
        # Written last: a run folder with a summary is a finished run.
        summary = {
            "global_step": trainer.state.global_step,
            "n_rows": len(train_rows),
            "n_alarms": agreement.n_alarms,
        }
        write_json(output_dir / "summary.json", summary)


if __name__ == "__main__":
    run_cli(main)
