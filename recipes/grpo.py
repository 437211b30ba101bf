"""HGRPO (Sec. 2.2 of Fake-HR1): TRL's GRPOTrainer with vLLM and the three rewards of Eq. 3.

    make grpo CONFIG=demo                           a few minutes on 2 cores, no GPU

Eq. 1 to 3 in TRL's terms, with what departs from the paper, stand in the YAML beside each value.
Starts from the SFT checkpoint, which is also the reference policy of Eq. 1. A run that was killed
goes on from its last whole checkpoint.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOConfig, ModelConfig, get_peft_config

from recipes.adapters import save_whole_model
from recipes.collapse_watch import CollapseWatch, rules_for
from recipes.completions_table import TablesCompletions
from recipes.config import parse
from recipes.generation import prepare_engine
from recipes.grpo_arguments import GRPOArguments, load_training_rows, load_validation_rows
from recipes.image_tokens import ImageTokenGRPOTrainer, vision_token_ban
from recipes.inspection import StopsOnBadCompletions, StopsOnBadLoss
from recipes.interruption import StopOnSignal, exit_if_interrupted
from recipes.master_weights import check_master_weights
from recipes.model_card import write_model_card
from recipes.plots import plot_log
from recipes.resume import ResumesWeights
from recipes.run_folder import (
    JsonlLogger,
    best_checkpoint,
    last_whole_checkpoint,
    open_run,
    resolved_config,
)
from recipes.sampling_agreement import SamplingAgreement
from recipes.shared_images import SharesImages, SharesVision
from recipes.vllm_on_cpu import prepare_colocated_engine
from recipes.vlm import attention_implementation, check_model, load_processor
from recipes.world import check_world
from rewards import accuracy_reward, format_reward
from rewards.errors import run_cli
from rewards.files import write_json

PLOTTED = [
    "reward",
    "eval_reward",
    "rewards/accuracy_reward/mean",
    "rewards/format_reward/mean",
    "rewards/hybrid_reward/mean",
    "thinking_rate/simple",
    "thinking_rate/hard",
    "thinking_rate/neutral",
    "thinking_rate/neutral/needs_thinking",
    "thinking_rate/neutral/needs_none",
    "completion_length/simple",
    "completion_length/hard",
    "completion_length/neutral",
    "says_fake/real",
    "says_fake/fake",
    "repeated_share/simple",
    "repeated_share/hard",
    "entropy",
    "frac_reward_zero_std",
    "kl",
    "sampling/importance_sampling_ratio/mean",
    "sampling/sampling_logp_difference/mean",
]


# Where a vLLM server stands: another place at every start of a job.
SERVER_PLACE = ("vllm_server_host", "vllm_server_port", "vllm_group_port", "vllm_server_base_url")


class HybridGRPOTrainer(
    ResumesWeights,
    StopsOnBadLoss,
    StopsOnBadCompletions,
    TablesCompletions,
    SharesImages,
    SharesVision,
    ImageTokenGRPOTrainer,
):
    """TRL's GRPOTrainer with the fixes that Qwen2.5-VL needs; see the modules of its parents."""


def make_trainer(
    args: GRPOArguments,
    training_args: GRPOConfig,
    model_args: ModelConfig,
    train_rows: Dataset,
    callbacks: Sequence[TrainerCallback],
    eval_rows: Dataset | None = None,
    kind: type[Any] | None = None,
) -> Any:
    """Return TRL's trainer with vLLM, the three rewards and the log; of class ``kind``, if given.

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
    trainer = (kind or HybridGRPOTrainer)(
        model=model,
        reward_funcs=[accuracy_reward, format_reward, args.hybrid_reward()],
        args=training_args,
        train_dataset=train_rows,
        eval_dataset=eval_rows,
        processing_class=processor,
        peft_config=get_peft_config(model_args),
        callbacks=[JsonlLogger(), *callbacks],
    )
    trainer.completions_every = args.completions_every
    check_master_weights(trainer)
    return trainer


def main() -> None:
    """Train, then save model, processor and log."""
    args, training_args, model_args = parse((GRPOArguments, GRPOConfig, ModelConfig))
    check_world(training_args)
    check_model(model_args.model_name_or_path)
    model_args.attn_implementation = attention_implementation(model_args.attn_implementation)
    train_rows = load_training_rows(args)
    eval_rows = load_validation_rows(args)
    output_dir = Path(training_args.output_dir)
    with training_args.main_process_first(local=False):
        if training_args.process_index == 0:
            config = resolved_config(args, training_args, model_args)
            open_run(output_dir, config, train_rows, SERVER_PLACE)
    agreement = SamplingAgreement(
        args.max_ratio_deviation, args.max_logp_difference, args.stop_on_alarm
    )
    rules = rules_for(args.hybrid_reward(), sorted(set(train_rows["question_bank"])))
    watch = CollapseWatch(rules, args.collapse_window, args.stop_on_collapse)
    trainer = make_trainer(
        args, training_args, model_args, train_rows, [agreement, watch], eval_rows
    )
    stop = StopOnSignal()
    trainer.add_callback(stop)
    trainer.train(resume_from_checkpoint=last_whole_checkpoint(output_dir))
    exit_if_interrupted(trainer, stop)
    if trainer.is_world_process_zero():
        plot_log(output_dir, PLOTTED)
    watch.raise_if_stopped(output_dir)
    save_whole_model(trainer)
    if trainer.is_world_process_zero():
        # Written last: a run folder with a summary is a finished run.
        summary = {
            "global_step": trainer.state.global_step,
            "n_rows": len(train_rows),
            **best_checkpoint(trainer.state),
            "n_alarms": agreement.n_alarms,
            "collapse_events": watch.events,
        }
        write_model_card(output_dir, "HGRPO", summary)
        write_json(output_dir / "summary.json", summary)


if __name__ == "__main__":
    run_cli(main)
