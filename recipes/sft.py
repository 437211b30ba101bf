r"""Hybrid fine-tuning (HFT, Sec. 2.1 of Fake-HR1) of a vision-language model with TRL's SFTTrainer.

Direct rows teach ``<think></think>real``, reasoning rows ``<think>\n…\n</think>fake``; the loss
is on the completion only.

    make sft CONFIG=demo                            a few minutes on 2 cores, no GPU
    make sft CONFIG=demo ARGS="--learning_rate 5e-4"

A run that was killed goes on from its last whole checkpoint when started again.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import AutoModelForImageTextToText
from trl import ModelConfig, SFTConfig, get_peft_config

from data_prep.loading import TRAINING_COLUMNS, load_rows
from recipes.adapters import save_whole_model
from recipes.config import parse
from recipes.image_sizing import presized
from recipes.interruption import StopOnSignal, exit_if_interrupted
from recipes.length_grouping import measured_sizes
from recipes.master_weights import check_master_weights
from recipes.model_card import write_model_card
from recipes.patch_embedding import use_linear_patch_embedding
from recipes.plots import plot_log
from recipes.resume import ResumableSFTTrainer
from recipes.run_folder import (
    JsonlLogger,
    best_checkpoint,
    last_whole_checkpoint,
    open_run,
    resolved_config,
)
from recipes.vlm import (
    attention_implementation,
    check_model,
    load_processor,
    vision_modules,
)
from recipes.world import check_world
from rewards.errors import run_cli
from rewards.files import write_json


@dataclass
class SFTArguments:
    """What is not in TRL's SFTConfig and ModelConfig."""

    dataset_name: str = field(
        metadata={"help": "Data set folder or hub id with the columns of data_prep."}
    )
    train_split: str = field(default="train", metadata={"help": "Split to train on."})
    eval_split: str | None = field(
        default=None, metadata={"help": "Split for the validation loss; none: no validation."}
    )
    min_pixels: int | None = field(default=None, metadata={"help": "Images are enlarged to this."})
    max_pixels: int | None = field(default=None, metadata={"help": "Images are shrunk to this."})
    max_tiles: int | None = field(
        default=None, metadata={"help": "Tiles an image is cut into at most (InternVL)."}
    )
    chat_template_file: str | None = field(
        default=None, metadata={"help": "Jinja file in the place of the model's chat template."}
    )
    presize_images: bool = field(
        default=False, metadata={"help": "Shrink images to max_pixels once, before training."}
    )
    train_vision: bool = field(default=True, metadata={"help": "Train the vision tower too."})
    restart: bool = field(default=False, metadata={"help": "Throw away what output_dir holds."})


def main() -> None:
    """Train, then save model, processor and log."""
    args, training_args, model_args = parse((SFTArguments, SFTConfig, ModelConfig))
    check_world(training_args)
    check_model(model_args.model_name_or_path)
    model_args.attn_implementation = attention_implementation(model_args.attn_implementation)
    train_rows = load_rows(args.dataset_name, args.train_split, TRAINING_COLUMNS)
    eval_rows = args.eval_split and load_rows(args.dataset_name, args.eval_split, TRAINING_COLUMNS)
    output_dir = Path(training_args.output_dir)
    with training_args.main_process_first(local=False):
        if training_args.process_index == 0:
            open_run(output_dir, resolved_config(args, training_args, model_args), train_rows)

    processor: Any = load_processor(
        str(model_args.model_name_or_path),
        args.min_pixels,
        args.max_pixels,
        args.max_tiles,
        args.chat_template_file,
    )
    if args.presize_images:
        with training_args.main_process_first(desc="images are shrunk"):
            n_processes = max(1, training_args.dataloader_num_workers)
            train_rows = presized(train_rows, processor.image_processor, n_processes)
    model = AutoModelForImageTextToText.from_pretrained(
        model_args.model_name_or_path,
        dtype=model_args.dtype,
        attn_implementation=model_args.attn_implementation,
    )
    use_linear_patch_embedding(model)
    if not args.train_vision:
        for module in vision_modules(model):
            module.requires_grad_(False)
    trainer = ResumableSFTTrainer(
        model=model,
        args=training_args,
        train_dataset=train_rows,
        eval_dataset=eval_rows or None,
        processing_class=processor,
        peft_config=get_peft_config(model_args),
        callbacks=[JsonlLogger()],
    )
    if training_args.train_sampling_strategy == "group_by_length":
        trainer.image_sizes = measured_sizes(args.dataset_name, args.train_split)
    check_master_weights(trainer)
    # Qwen2.5-VL's class says that its forward takes no token count. Trainer then counts none, and
    # each device's mean weighs the same, however few its tokens: the loss would depend on how a
    # batch falls on devices and accumulation steps. TRL computes the loss itself, with the count.
    trainer.model_accepts_loss_kwargs = True
    stop = StopOnSignal()
    trainer.add_callback(stop)
    trainer.train(resume_from_checkpoint=last_whole_checkpoint(output_dir))
    exit_if_interrupted(trainer, stop)
    save_whole_model(trainer)
    if trainer.is_world_process_zero():
        plot_log(output_dir, ["loss", "eval_loss", "mean_token_accuracy", "learning_rate"])
        # Written last: a run folder with a summary is a finished run.
        summary = {
            "global_step": trainer.state.global_step,
            "n_rows": len(train_rows),
            **best_checkpoint(trainer.state),
        }
        write_model_card(output_dir, "hybrid fine-tuning", summary)
        write_json(output_dir / "summary.json", summary)


if __name__ == "__main__":
    run_cli(main)
