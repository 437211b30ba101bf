"""Save what a trainer trained so that the next stage reads one whole model."""

from pathlib import Path
from typing import Any

from rewards.errors import UserError


def save_whole_model(trainer: Any) -> None:
    """Save model and processor to ``output_dir``; adapters merged, and by themselves beside it.

    vLLM and the next stage read whole models, and RL's reference is the model with its adapters
    off: only where those of SFT are merged is that the SFT policy of Eq. 1.

    Raises:
        UserError: The adapters cannot be merged because the weights are sharded; they are saved.
    """
    output_dir = Path(trainer.args.output_dir)
    model = trainer.accelerator.unwrap_model(trainer.model)
    if not hasattr(model, "merge_and_unload"):
        trainer.save_model()
        return
    # In a folder of its own: transformers loads a folder with an adapter in it as base + adapter.
    trainer.save_model(str(output_dir / "adapter"))
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise UserError(
            f"LoRA weights are in {output_dir / 'adapter'}, and cannot be merged into sharded "
            "weights: train adapters with ACCELERATE=multi_gpu or single_gpu."
        )
    if trainer.is_world_process_zero():
        model.merge_and_unload().save_pretrained(output_dir)
        trainer.processing_class.save_pretrained(output_dir)
    trainer.accelerator.wait_for_everyone()
