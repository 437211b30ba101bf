"""Load a model's processor with its pixel limits, and check that a model is there."""

import hashlib
from pathlib import Path

from transformers import AutoProcessor, ProcessorMixin

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
    model: str, min_pixels: int | None = None, max_pixels: int | None = None
) -> ProcessorMixin:
    """Return the processor of ``model``, with other pixel limits where they are given.

    Saved beside a checkpoint, it carries the limits to vLLM, which must see the same image tokens
    as the trainer. One image token covers 28 x 28 pixels in Qwen2.5-VL.
    """
    check_model(model)
    limits = {"min_pixels": min_pixels, "max_pixels": max_pixels}
    return AutoProcessor.from_pretrained(
        model, **{name: value for name, value in limits.items() if value is not None}
    )
