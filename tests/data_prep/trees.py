"""Small trees in the exact published layouts, with invented pixels and captions."""

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HUMAN = "<image>\nDoes the image looks real/fake?"


def pixels(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """Return a smooth image with some noise, different for every seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int64)
    noisy = smooth + rng.integers(-8, 9, smooth.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, format_: str = "JPEG", **options: Any) -> bytes:
    """Return ``image`` as the content of a file."""
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def save(path: Path, image: Image.Image, **options: Any) -> None:
    """Save ``image``; the suffix, in either case, names the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    format_ = "PNG" if path.suffix.lower() == ".png" else "JPEG"
    path.write_bytes(encoded(image, format_, **options))


def fakeclue_entry(
    image: str | list[str], label: Any, caption: str, cate: str = "object", **more: Any
) -> dict[str, Any]:
    """Return an entry as FakeClue's JSON has them."""
    turns = [{"from": "human", "value": HUMAN}, {"from": "gpt", "value": caption}]
    return {"image": image, "label": label, "cate": cate, "conversations": turns, **more}


FAKECLUE_ENTRIES = (
    fakeclue_entry(
        "ff++/fake/Deepfakes/c23/frames/856_881/1066.png",
        *(0, "This is a fake image. The mouth is blurred.", "deepfake"),
    ),
    fakeclue_entry(
        "ff++/real/youtube/c23/frames/004/12.png",
        *(1, "This is a real image. The skin has pores.", "deepfake"),
    ),
    fakeclue_entry(
        "chameleon/fake/762482d5-d381-4586-8964-c3d567e233cf.jpg",
        *(0, "Despite its authentic look the sky repeats. This is a fake image.", "scene"),
    ),
    fakeclue_entry(
        "doc/fake/magazine_ch_2/a.jpg", 0, "The letters run together. This is a fake image.", "doc"
    ),
    fakeclue_entry("doc/real/news/b.jpg", 1, "The print is even.", "doc"),
    fakeclue_entry(
        "genimage/fake/VQDM_1000_200_08_872_vqdm_00109.png",
        *(0, "This is a fake image. The legs do not meet the ground.", "animal"),
    ),
    fakeclue_entry(
        "satellite/real/c.jpg", 1, "This is a real image. Roads meet at right angles.", "satellite"
    ),
)


def make_fakeclue(
    root: Path,
    split: str = "train",
    entries: Iterable[Mapping[str, Any]] = FAKECLUE_ENTRIES,
    nesting: str = "{split}",
) -> Path:
    """Make FakeClue's layout: ``data_json/``, images in the folder that ``nesting`` names."""
    entries = list(entries)
    json_file = root / "data_json" / f"{split}.json"
    json_file.parent.mkdir(parents=True, exist_ok=True)
    json_file.write_text(json.dumps(entries), encoding="utf-8")
    for number, entry in enumerate(entries):
        images = entry["image"] if isinstance(entry["image"], list) else [entry["image"]]
        for image in images:
            save(root / nesting.format(split=split) / image, pixels(number))
    return root


GENIMAGE_FOLDERS = {
    "sdv4": "stable_diffusion_v_1_4/imagenet_ai_0419_sdv4",
    "sdv5": "stable_diffusion_v_1_5/imagenet_ai_0424_sdv5",
    "midjourney": "Midjourney/imagenet_midjourney",
    "adm": "ADM/imagenet_ai_0508_adm",
    "wukong": "wukong/imagenet_ai_0424_wukong",
    "glide": "glide/imagenet_glide",
    "vqdm": "VQDM/imagenet_ai_0419_vqdm",
    "biggan": "BigGAN/imagenet_ai_0419_biggan",
}
_AI_NAMES = {
    "adm": "{index}_adm_{n}.PNG",
    "glide": "GLIDE_1000_200_08_{index}_glide_{n:05d}.png",
    "vqdm": "VQDM_1000_200_08_{index}_vqdm_{n:05d}.png",
}


def make_genimage(
    root: Path,
    generators: Iterable[str] = ("sdv4", "adm", "biggan"),
    split: str = "train",
    n_images: int = 2,
    folders: Mapping[str, str] = GENIMAGE_FOLDERS,
    size: tuple[int, int] = (40, 40),
) -> Path:
    """Make GenImage's layout: JPEG photographs of quality 96, lossless generated images."""
    for position, generator in enumerate(generators):
        folder = root / folders[generator] / split
        for n in range(n_images):
            seed = 1000 * position + 2 * n
            name = _AI_NAMES.get(generator, "{index}_{generator}_{n:05d}.png")
            name = name.format(index=100 + n % 2, generator=generator, n=n)
            save(folder / "ai" / name, pixels(seed, *size))
            photograph = f"n0212304{n % 2}_{10 * position + n}.JPEG"
            if split == "val":
                photograph = f"ILSVRC2012_val_{10 * position + n:08d}.JPEG"
            save(folder / "nature" / photograph, pixels(seed + 1, *size), quality=96)
    return root
