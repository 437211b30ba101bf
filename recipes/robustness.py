"""What happens to images on their way through the web, as named changes with stated parameters.

Each depends on the image and, where something is drawn, on the row's id alone.
"""

import io
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageFilter

from data_prep.prompts import stable_integer

Change = Callable[[Image.Image, str], Image.Image]
BICUBIC, LANCZOS = Image.Resampling.BICUBIC, Image.Resampling.LANCZOS


def encode(image: Image.Image, row_id: str, *, file_format: str, quality: int) -> Image.Image:
    """Return the image out of a JPEG or WebP file of this quality (4:2:0 chroma in both)."""
    buffer = io.BytesIO()
    image.save(buffer, format=file_format, quality=quality)
    return Image.open(buffer).convert("RGB")


def resize(image: Image.Image, row_id: str, *, factor: float) -> Image.Image:
    """Return the image with both sides times ``factor`` (Lanczos), and left at that size."""
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), LANCZOS)


def crop(image: Image.Image, row_id: str, *, factor: float) -> Image.Image:
    """Return a window with both sides times ``factor``, where the id puts it."""
    width, height = (max(1, round(side * factor)) for side in image.size)
    draw = stable_integer(f"crop/{row_id}")
    left = draw % (image.width - width + 1)
    top = (draw >> 32) % (image.height - height + 1)
    return image.crop((left, top, left + width, top + height))


def blur(image: Image.Image, row_id: str, *, sigma: float) -> Image.Image:
    """Return the image after a Gaussian blur of ``sigma`` pixels."""
    return image.filter(ImageFilter.GaussianBlur(sigma))


def add_noise(image: Image.Image, row_id: str, *, sigma: float) -> Image.Image:
    """Return the image with Gaussian noise of ``sigma`` (of 255) on each channel."""
    pixels = np.asarray(image, dtype=np.float32)
    draws = np.random.default_rng(stable_integer(f"noise/{row_id}"))
    noisy = pixels + sigma * draws.standard_normal(pixels.shape, dtype=np.float32)
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def screenshot(image: Image.Image, row_id: str) -> Image.Image:
    """Return the image as a screenshot that was sent on.

    A viewer shows it at 60 to 95 % of its size (bicubic), the id decides; the screenshot is saved
    as JPEG of quality 90 and encoded again at 75 by whoever passes it on.
    """
    factor = 0.6 + 0.35 * (stable_integer(f"screenshot/{row_id}") % 1000) / 999
    width, height = (max(1, round(side * factor)) for side in image.size)
    shown = image.resize((width, height), BICUBIC)
    saved = encode(shown, row_id, file_format="JPEG", quality=90)
    return encode(saved, row_id, file_format="JPEG", quality=75)


VARIANTS: dict[str, Change] = {
    **{f"jpeg-{q}": partial(encode, file_format="JPEG", quality=q) for q in (90, 70, 50, 30)},
    **{f"webp-{q}": partial(encode, file_format="WEBP", quality=q) for q in (80, 50)},
    **{f"resize-{p}": partial(resize, factor=p / 100) for p in (75, 50)},
    **{f"crop-{p}": partial(crop, factor=p / 100) for p in (90, 70)},
    **{f"blur-{s}": partial(blur, sigma=s) for s in (1, 2)},
    **{f"noise-{s}": partial(add_noise, sigma=s) for s in (4, 8)},
    "screenshot": screenshot,
}
