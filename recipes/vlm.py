"""Load a vision-language model's processor with its pixel limits, and check that a model is there."""

from pathlib import Path

from transformers import AutoProcessor, ProcessorMixin

from rewards.errors import UserError


def check_model(model: str) -> None:
    """Raise a ``UserError`` if ``model`` looks like a folder and holds no model."""
    folder = Path(model)
    local = folder.exists() or model.startswith((".", "/", "runs/", "recipes/"))
    if local and not (folder / "config.json").is_file():
        raise UserError(
            f"{model} holds no model (config.json is missing). Run the stage that writes it first, or "
            "name another with --model_name_or_path."
        )


def load_processor(model: str, min_pixels: int | None, max_pixels: int | None) -> ProcessorMixin:
    """Return the processor of ``model``, with other pixel limits where they are given.

    Saved beside a checkpoint, it carries the limits to vLLM, which must see the same image tokens as
    the trainer. One image token covers 28 x 28 pixels in Qwen2.5-VL.
    """
    check_model(model)
    limits = {"min_pixels": min_pixels, "max_pixels": max_pixels}
    return AutoProcessor.from_pretrained(
        model, **{name: value for name, value in limits.items() if value is not None}
    )
