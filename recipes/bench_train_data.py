"""Rows of mixed image sizes for ``make bench-train``, made of the embedded photographs' crops."""

import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from PIL import Image

from data_prep.embedded import decode, photograph_ranges, read_images, reasoning_of
from data_prep.prompts import load_prompts
from data_prep.rows import ROW_FEATURES, make_row
from recipes.vlm import load_processor
from rewards import QUESTION_BANKS

# Width, height, share: what the paper's sources hold, by what GenImage's paper says of its sets.
SIZES = (
    (128, 128, 0.10),  # BigGAN
    (256, 256, 0.20),  # ADM, GLIDE, VQDM
    (500, 375, 0.35),  # ImageNet, the real half
    (512, 512, 0.15),  # Stable Diffusion, Wukong
    (1024, 1024, 0.12),  # Midjourney
    (3000, 2000, 0.08),  # photographs as cameras write them
)
JPEG_QUALITY = 90


def mixed_rows(n_rows: int, seed: int) -> Dataset:
    """Return SFT rows whose images have the sizes of ``SIZES``, JPEG, half of them reasoning rows.

    A large image is a mosaic of crops: enlarged ones would have no detail to decode.
    """
    rng = np.random.default_rng(seed)
    crops = read_images("train")
    ranges, prompts = photograph_ranges(), load_prompts()
    widths, heights, shares = zip(*SIZES, strict=True)
    drawn = rng.choice(len(SIZES), size=n_rows, p=np.array(shares) / sum(shares))
    rows = []
    for number, kind in enumerate(drawn):
        picks = rng.integers(0, len(crops), 40)
        first = crops[picks[0]]
        data = _mosaic([decode(crops[i]) for i in picks], rng, widths[kind], heights[kind])
        rows.append(
            make_row(
                row_id=f"mixed-{number:05d}",
                image={"bytes": data, "path": f"{number:05d}.jpg"},
                label=first["label"],
                question_bank=QUESTION_BANKS[number % 2],
                reasoning=reasoning_of(first, ranges),
                source=first["photograph"],
                generator=first["generator"],
                category=f"{widths[kind]}x{heights[kind]}",
                prompts=prompts,
                seed=seed,
            )
        )
    return Dataset.from_list(rows, features=ROW_FEATURES)


def _mosaic(
    crops: Sequence[Image.Image], rng: np.random.Generator, width: int, height: int
) -> bytes:
    image = Image.new("RGB", (width, height))
    side = crops[0].width
    for y in range(0, height, side):
        for x in range(0, width, side):
            image.paste(crops[int(rng.integers(len(crops)))], (x, y))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def write_model(model: str, max_pixels: int, folder: Path) -> str:
    """Write ``model`` with another pixel limit into ``folder``: trainer and vLLM read it there.

    A model of the hub is returned as it is.
    """
    if not Path(model).is_dir():
        return model
    folder.mkdir(parents=True, exist_ok=True)
    processor: Any = load_processor(model, max_pixels=max_pixels)
    processor.save_pretrained(folder)
    for source in ("config.json", "generation_config.json", "*.safetensors*"):
        for path in Path(model).glob(source):
            shutil.copy(path, folder)
    return str(folder)
