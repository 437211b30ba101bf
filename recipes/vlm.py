"""What differs between vision-language models: processor, image limits, vision tower, attention."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from transformers import AutoProcessor, ProcessorMixin
from transformers.utils import is_flash_attn_2_available

from recipes.chat_template import check_chat_template, read_chat_template
from rewards.errors import UserError

N_PIECES, PIECE_BYTES = 64, 2**20


def check_model(model: str) -> None:
    """Raise a ``UserError`` if ``model`` looks like a folder and holds no model."""
    folder = Path(model)
    local = folder.exists() or model.startswith((".", "/", "runs/", "recipes/"))
    if local and not (folder / "config.json").is_file():
        raise UserError(
            f"{model} holds no model (config.json is missing). Run the stage that writes it, or "
            "name another with --model_name_or_path."
        )


def model_fingerprint(model: str) -> str:
    """Return a hash of a model folder's configuration and weights; of the name for a hub id.

    Weight files up to 64 MiB are read whole, larger ones in 64 pieces: training changes them all.
    """
    digest = hashlib.sha256(b"" if Path(model).is_dir() else model.encode())
    for path in sorted([*Path(model).glob("*.json"), *Path(model).glob("*.safetensors")]):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}".encode())
        with path.open("rb") as file:
            for piece in range(N_PIECES):
                file.seek(piece * size // N_PIECES)
                digest.update(file.read(PIECE_BYTES))
    return digest.hexdigest()[:16]


def load_processor(
    model: str,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    max_tiles: int | None = None,
    chat_template_file: str | None = None,
) -> ProcessorMixin:
    """Return the processor of ``model``, with other image limits or chat template where given.

    Saved beside a checkpoint, it carries them to vLLM, which must see the same tokens as the
    trainer. One image token covers 28 x 28 pixels in Qwen2.5-VL and 32 x 32 in Qwen3-VL; InternVL
    cuts an image into tiles of 256 tokens each.

    Raises:
        UserError: The model has no limit of that kind, or its chat template does not bring answers
            to it as they are, see ``recipes.chat_template``.
    """
    check_model(model)
    limits = image_limits(min_pixels, max_pixels, max_tiles)
    processor = AutoProcessor.from_pretrained(model, **limits)
    check_image_limits(processor, limits, model)
    if chat_template_file is not None:
        processor.chat_template = read_chat_template(chat_template_file)
    check_chat_template(processor, model)
    return processor


def image_limits(
    min_pixels: int | None, max_pixels: int | None, max_tiles: int | None
) -> dict[str, int]:
    """Return the limits that are given, under the names that processors and vLLM know."""
    limits = {"min_pixels": min_pixels, "max_pixels": max_pixels, "max_patches": max_tiles}
    return {name: value for name, value in limits.items() if value is not None}


def check_image_limits(processor: Any, limits: dict[str, int], model: str) -> None:
    """Raise a ``UserError`` where a limit is of a kind that the model's processor passes over."""
    image_processor = processor.image_processor
    takes_tiles = hasattr(image_processor, "crop_to_patches")
    takes_pixels = "longest_edge" in (image_processor.size or {})
    if "max_patches" in limits and not takes_tiles:
        raise UserError(
            f"max_tiles is set, and {model} does not cut images into tiles: remove it, and set "
            "min_pixels and max_pixels."
        )
    if limits.keys() & {"min_pixels", "max_pixels"} and not takes_pixels:
        raise UserError(
            f"min_pixels or max_pixels is set, and {model} resizes every image to one size: remove "
            "them; max_tiles limits the tiles of models that cut images (InternVL)."
        )


def attention_implementation(requested: str | None) -> str | None:
    """Return what ``auto`` stands for: flash-attn where it is installed with a GPU, else sdpa.

    A name of transformers' own is returned as it is; it fails where its package is missing.
    """
    if requested != "auto":
        return requested
    has_flash = torch.cuda.is_available() and is_flash_attn_2_available()
    return "flash_attention_2" if has_flash else "sdpa"


def vision_modules(model: Any) -> list[Any]:
    """Return what sees: the vision tower and, where it stands beside it, the projector."""
    names = ("visual", "vision_tower", "multi_modal_projector")
    bare = model.get_base_model() if hasattr(model, "get_base_model") else model  # within PEFT's
    return [getattr(bare.model, name) for name in names if hasattr(bare.model, name)]
