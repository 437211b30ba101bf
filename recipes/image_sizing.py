"""Images at the size that the model sees, made once and not at every use.

A processor decodes a file of 3000 x 2000 pixels and shrinks it to its pixel limit whenever the row
comes up: in every epoch, and in GRPO twice for each of the G samples. Here the processor's own
resize is applied once and its very pixels are kept, without loss, so that what the model is shown
afterwards is equal bit for bit (``tests/recipes/test_image_sizing.py``). Done for Qwen's image
processors, whose resize is idempotent; other models' images are left as they are.
"""

import io
from typing import Any

import torch
from datasets import Dataset, Features, List
from datasets import Image as ImageColumn
from datasets.fingerprint import Hasher
from PIL import Image
from torchvision.transforms import functional as F
from transformers import Qwen2VLImageProcessor

STORED = ImageColumn(mode="RGB", decode=False)
DECODED = ImageColumn(mode="RGB")
VERSION = 1  # of what `presized` writes; part of its cache's name


def undecoded(rows: Dataset) -> Dataset:
    """Return ``rows`` whose images are given as ``{"bytes", "path"}``, not decoded."""
    return rows.cast_column("images", List(STORED))


def decode(image: Any) -> Image.Image:
    """Return an image, RGB, from what an ``images`` column holds, decoded or not."""
    return DECODED.decode_example(image) if isinstance(image, dict) else image


def header_size(stored: dict[str, Any]) -> tuple[int, int]:
    """Return width and height of a stored image as its file's header has them; reads no pixels."""
    source = io.BytesIO(stored["bytes"]) if stored["bytes"] else stored["path"]
    with Image.open(source) as header:
        return header.size


def seen_size(image_processor: Any, width: int, height: int) -> tuple[int, int]:
    """Return width and height at which a Qwen model sees an image."""
    # The processor's own rule, asked with an image that has no pixels.
    empty = torch.empty((1, 1, height, width), dtype=torch.uint8, device="meta")
    shape = _resize(image_processor, empty).shape
    return int(shape[-1]), int(shape[-2])


def shrunk(image: Image.Image, image_processor: Any) -> Image.Image:
    """Return an image as the processor would shrink it; one that it would not shrink as it is."""
    if not isinstance(image_processor, Qwen2VLImageProcessor):
        return image
    width, height = seen_size(image_processor, *image.size)
    smaller = width * height < image.width * image.height
    if not smaller or seen_size(image_processor, width, height) != (width, height):
        return image
    pixels = F.pil_to_tensor(image.convert("RGB"))
    return F.to_pil_image(_resize(image_processor, pixels[None])[0])


def presized(rows: Dataset, image_processor: Any, n_processes: int = 1) -> Dataset:
    """Return ``rows`` with every image that the processor would shrink stored shrunk, as PNG.

    The result stands in the cache of ``datasets``, under the rows' and the limits' fingerprint: a
    run that goes on, another epoch and a later stage find it there.
    """
    stored = undecoded(rows)
    limits = {key: image_processor.size[key] for key in ("shortest_edge", "longest_edge")}
    name = (VERSION, rows._fingerprint, limits, image_processor.patch_size)
    done = stored.map(
        lambda row: {"images": [_stored_shrunk(image, image_processor) for image in row["images"]]},
        features=Features({**stored.features, "images": List(STORED)}),
        num_proc=n_processes if n_processes > 1 else None,
        new_fingerprint=Hasher.hash(name),
        desc="images to the size the model sees",
    )
    return done.cast_column("images", List(DECODED))


def _stored_shrunk(stored: dict[str, Any], image_processor: Any) -> dict[str, Any]:
    width, height = header_size(stored)
    seen = seen_size(image_processor, width, height)
    if seen[0] * seen[1] >= width * height:
        return stored
    image = decode(stored)
    small = shrunk(image, image_processor)
    if small is image:
        return stored
    buffer = io.BytesIO()
    small.save(buffer, "PNG", compress_level=1)  # quick to write and to read
    return {"bytes": buffer.getvalue(), "path": stored["path"]}


def _resize(image_processor: Any, pixels: torch.Tensor) -> torch.Tensor:
    return image_processor.resize(
        images=pixels,
        size=image_processor.size,
        resample=image_processor.resample,
        factor=image_processor.patch_size * image_processor.merge_size,
    )
