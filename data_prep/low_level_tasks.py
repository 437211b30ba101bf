"""Questions about what blur, resampling, noise or repainting did to a crop.

The demo base model is pre-trained on these. They use the training photographs alone: no test
photograph, no generated image, no verdict. Sample ``i`` depends on the seed and ``i`` alone, so
that an interrupted pre-training goes on with the very samples that were left.
"""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from data_prep.build_embedded import CROP_PX, EMBEDDED_DIR, JPEG_QUALITY
from data_prep.image_statistics import describe, levels, measure
from rewards.errors import UserError

LONG_SIDES_PX = (800, 1000, 1400, 2000)
STRENGTHS = ("slightly", "clearly", "strongly")
Resampling = Image.Resampling


def _nothing(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    return image


def _blur(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    radius = (0.6, 1.0, 1.6)[strength] * rng.uniform(0.9, 1.1)
    return image.filter(ImageFilter.GaussianBlur(radius))


def _shrink_and_grow(
    image: Image.Image, strength: int, rng: np.random.Generator, kernel: Resampling
) -> Image.Image:
    factor = (2, 4, 8)[strength] * rng.uniform(0.9, 1.1)
    side = max(4, round(image.width / factor))
    return image.resize((side, side), Resampling.LANCZOS).resize(image.size, kernel)


def _resample(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    kernels = (Resampling.BILINEAR, Resampling.BICUBIC, Resampling.LANCZOS)
    return _shrink_and_grow(image, strength, rng, kernels[rng.integers(3)])


def _noise(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float32)
    shape = pixels.shape if rng.random() < 0.5 else (*pixels.shape[:2], 1)  # coloured or grey
    noisy = pixels + rng.normal(0.0, (3, 7, 14)[strength], shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _median(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    image = image.filter(ImageFilter.MedianFilter((3, 3, 5)[strength]))
    return image.filter(ImageFilter.MedianFilter(3)) if strength == 1 else image


def _sharpen(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.UnsharpMask(1.0, (60, 120, 220)[strength], 0))


def _repaint(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    """Upscale as before networks: resample, harden the edges, flatten between them."""
    image = _shrink_and_grow(image, strength, rng, Resampling.BICUBIC)
    image = image.filter(ImageFilter.UnsharpMask(2**strength, int(rng.integers(150, 260)), 0))
    for _ in range(int(rng.integers(3))):
        image = image.filter(ImageFilter.MedianFilter((3, 5)[rng.integers(2)]))
    return image


def _recompress(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    return _jpeg(image, (70, 40, 20)[strength], subsampling=2)


Operation = Callable[[Image.Image, int, np.random.Generator], Image.Image]
# What is done to a crop, with the word for it and its share of the samples.
OPERATIONS: dict[str, tuple[Operation, float]] = {
    "left alone": (_nothing, 0.20),
    "blurred": (_blur, 0.12),
    "resampled": (_resample, 0.20),
    "given noise": (_noise, 0.10),
    "median filtered": (_median, 0.10),
    "sharpened": (_sharpen, 0.08),
    "repainted": (_repaint, 0.15),
    "recompressed": (_recompress, 0.05),
}
NAMES = tuple(OPERATIONS)
SHARES = tuple(share for _, share in OPERATIONS.values())


@dataclass(frozen=True)
class Sample:
    """A degraded crop and what is known of it.

    Attributes:
        image: ``CROP_PX`` square, RGB, through the embedded set's encoder.
        operation: Index into ``NAMES``.
        strength: Index into ``STRENGTHS``; 0 where nothing was done.
        statistics: ``data_prep.image_statistics.measure`` of ``image``.
    """

    image: Image.Image
    operation: int
    strength: int
    statistics: dict[str, float]


def _jpeg(image: Image.Image, quality: int, subsampling: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return Image.open(buffer).convert("RGB")


def load_training_photographs(sources: Path) -> list[list[Image.Image]]:
    """Return each training photograph at the sizes of ``LONG_SIDES_PX`` (never enlarged).

    Raises:
        UserError: A source file is missing.
    """
    with (EMBEDDED_DIR / "photographs.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    photographs = []
    for row in rows:
        path = sources / row["package"] / row["file"]
        if not path.is_file():
            raise UserError(f"{path} is missing; `make demo-base` fetches the source packages.")
        image = Image.open(path).convert("RGB")
        sizes: dict[tuple[int, int], Image.Image] = {}
        for long_side in LONG_SIDES_PX:
            scale = min(1.0, long_side / max(image.size))
            size = (round(image.width * scale), round(image.height * scale))
            sizes.setdefault(size, image.resize(size, Resampling.LANCZOS))
        photographs.append(list(sizes.values()))
    return photographs


def _crop(sizes: list[Image.Image], rng: np.random.Generator) -> Image.Image:
    """Return a random crop, turned and mirrored at random; a textured one in most cases."""
    for _ in range(6):
        image = sizes[rng.integers(len(sizes))]
        x = int(rng.integers(image.width - CROP_PX + 1))
        y = int(rng.integers(image.height - CROP_PX + 1))
        crop = image.crop((x, y, x + CROP_PX, y + CROP_PX))
        if np.asarray(crop.convert("L")).std() > 20.0:
            break
    if rng.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return crop.rotate(90 * int(rng.integers(4)))


def make_sample(photographs: list[list[Image.Image]], seed: int, index: int) -> Sample:
    """Return sample ``index``: a random crop after a random operation."""
    rng = np.random.default_rng([seed, index])
    crop = _crop(photographs[rng.integers(len(photographs))], rng)
    operation = int(rng.choice(len(NAMES), p=SHARES))
    strength = int(rng.integers(3)) if operation else 0
    image = OPERATIONS[NAMES[operation]][0](crop, strength, rng)
    image = _jpeg(image, JPEG_QUALITY, subsampling=0)
    return Sample(image, operation, strength, measure(image))


DESCRIBE = "Describe the detail, grain, edges, texture and colour of this crop."
PROCESSED = "How was this crop processed?"


def make_conversation(
    sample: Sample, ranges: dict[str, tuple[float, float]], rng: np.random.Generator
) -> tuple[str, str]:
    """Return a question about ``sample`` and its answer, in words."""
    description = describe(levels(sample.statistics, ranges))
    processed = f"It was {NAMES[sample.operation]}"
    processed += f" {STRENGTHS[sample.strength]}." if sample.operation else "."
    draw = rng.random()
    if draw < 0.6:
        return DESCRIBE, description
    if draw < 0.8:
        return PROCESSED, processed
    return f"{DESCRIBE} {PROCESSED}", f"{description} {processed}"
