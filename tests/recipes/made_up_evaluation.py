"""An evaluation folder made up for tests: as many images as wanted, all that a report can show."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageFilter

from rewards import render_answer
from rewards.files import write_json, write_text
from rewards.records import Prediction, format_lines

BANKS = ("simple", "hard", "neutral")
QUESTIONS = {
    "simple": ("Is this image real or fake?", "Does the photo look authentic?"),
    "hard": ("Explain why this image is real or fake.", "Is it real? Explain the reason."),
    "neutral": ("What is your verdict on this image?", "Judge this image."),
}
# Category, share of its fakes' generators, source: in the manner of a mixed test set.
GROUPS = (
    ("animal", "sdv5", "genimage"),
    ("object", "midjourney", "genimage"),
    ("human", "unknown", "chameleon"),
    ("scene", "unknown", "chameleon"),
    ("satellite", "diffusion", "satellite"),
    ("document", "gan", "doc"),
    ("face", "face swap", "deepfake"),
)
SIZES = ((128, 128), (256, 256), (512, 512), (1024, 768))
CLUES = """
    the shadows of the two chairs point in different directions|the hand on the left has six fingers
    the lettering on the sign is not a script that anyone reads|the fur repeats the same tile
    the skin is free of pores and evenly lit from every side|the horizon bends behind the tower
    noise is the same in bright and dark regions, as a sensor leaves it|the bokeh is round
    the reflection in the window agrees with the street|edges show the halo of a camera's sharpening
    the texture of the grass changes at block borders|compression is even over the whole frame
"""


def _clues() -> list[str]:
    return [c.strip() for line in CLUES.strip().splitlines() for c in line.split("|")]


def _reasoning(rng: np.random.Generator, long: bool) -> str:
    clues = _clues()
    picked = rng.permutation(len(clues))[: rng.integers(3, 12 if long else 6)]
    sentences = [clues[i][0].upper() + clues[i][1:] + "." for i in picked]
    return "\n".join(f"{i}. {text}" for i, text in enumerate(sentences, start=1))


def _answer(rng: np.random.Generator, bank: str, verdict: str, hard_image: bool) -> str:
    draw = rng.random()
    if draw < 0.008:
        return "I cannot tell whether this image was captured or generated."
    if draw < 0.02 and bank != "simple":
        return "<think>\n" + "The shadows point in different directions. " * 60
    thinks = {"simple": 0.02, "hard": 0.98, "neutral": 0.75 if hard_image else 0.3}[bank]
    reasoning = _reasoning(rng, bank == "hard") if rng.random() < thinks else ""
    return render_answer(verdict, reasoning)


def predictions_of(n_images: int, seed: int = 0, skill: float = 1.6) -> list[Prediction]:
    """Return answers to ``n_images`` images under three banks; ``skill`` 0 is guessing."""
    rng = np.random.default_rng(seed)
    about = np.random.default_rng(1000)  # images are the same for every seed
    predictions = []
    for number in range(n_images):
        category, maker, source = GROUPS[about.integers(len(GROUPS))]
        label = "fake" if about.random() < 0.62 else "real"
        ease = about.normal(1.0, 0.9)
        width, height = SIZES[about.integers(len(SIZES))]
        for bank in BANKS:
            evidence = skill * ease + rng.normal(0, 0.8)
            signed = evidence if label == "fake" else -evidence
            p_fake = float(1 / (1 + np.exp(-1.5 * signed)))
            verdict = "fake" if p_fake >= 0.5 else "real"
            text = _answer(rng, bank, verdict, bool(ease < 0.7))
            predictions.append(
                Prediction(
                    id=f"{source}/{number:05d}.jpg",
                    label=label,
                    question_bank=bank,
                    completion=text,
                    n_completion_tokens=max(5, len(text) // 4),
                    source=source,
                    generator=maker if label == "fake" else "camera",
                    category=category,
                    question=QUESTIONS[bank][number % 2],
                    p_fake=round(p_fake, 6),
                    width=width,
                    height=height,
                    reference=_reasoning(about, True) if label == "fake" else None,
                )
            )
    return predictions


def forced(predictions: Sequence[Prediction], think: bool) -> list[Prediction]:
    """Return the same questions answered with the mode forced."""
    rows = []
    for index, item in enumerate(predictions):
        right = (index * 7919) % 100 < (88 if think else 84)
        other = {"real": "fake", "fake": "real"}[item.label]
        text = render_answer(item.label if right else other, _clues()[index % 9] if think else "")
        rows.append(
            Prediction(**{**vars(item), "completion": text, "n_completion_tokens": len(text) // 4})
        )
    return rows


def repeated(predictions: Sequence[Prediction], n_samples: int = 4) -> list[dict[str, Any]]:
    """Return the records of a sampled evaluation."""
    records = []
    for index, item in enumerate(predictions):
        other = {"real": "fake", "fake": "real"}[item.label]
        n_right = (index * 31) % (n_samples + 1)
        texts = [
            render_answer(item.label if k < n_right else other, "Edges." if k % 2 else "")
            for k in range(n_samples)
        ]
        records.append(
            {
                "id": item.id,
                "question_bank": item.question_bank,
                "label": item.label,
                "completions": texts,
                "n_completion_tokens": [len(text) // 4 for text in texts],
            }
        )
    return records


def thumbnail(seed: int, side: int = 160, quality: int = 70) -> bytes:
    """Return a WebP picture of blurred colour with grain, about as heavy as a photograph's."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), "RGB")
    picture = coarse.resize((side, side * 3 // 4), Image.Resampling.BICUBIC)
    grain = Image.fromarray(rng.integers(0, 255, (side * 3 // 4, side, 3), dtype=np.uint8), "RGB")
    picture = Image.blend(picture, grain.filter(ImageFilter.GaussianBlur(0.8)), 0.25)
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", quality=quality)
    return buffer.getvalue()


def write_thumbnails(path: Path, ids: Sequence[str], n_distinct: int = 40) -> None:
    """Write ``thumbnails.parquet``."""
    pictures = [thumbnail(seed) for seed in range(min(n_distinct, len(ids)))]
    webp = [pictures[i % len(pictures)] for i in range(len(ids))]
    pq.write_table(pa.table({"id": pa.array(ids), "webp": pa.array(webp, pa.binary())}), path)


def write_evaluation(
    folder: Path,
    n_images: int = 60,
    seed: int = 0,
    name: str = "RL",
    skill: float = 1.6,
    whole: bool = True,
) -> list[Prediction]:
    """Write an evaluation folder, with every optional file if ``whole``."""
    predictions = predictions_of(n_images, seed, skill)
    write_text(folder / "predictions.jsonl", format_lines(predictions))
    write_json(
        folder / "run.json",
        {
            "config": {"name": name, "model_name_or_path": f"runs/{name}", "seed": seed},
            "git_commit": "0123456789ab",
            "packages": {"python": "3.11.2", "vllm": "0.31.0"},
            "seed": seed,
            "dataset_fingerprint": "feedfacecafe",
            "n_rows": n_images,
        },
    )
    if not whole:
        return predictions
    write_thumbnails(folder / "thumbnails.parquet", list(dict.fromkeys(p.id for p in predictions)))
    for mode in ("direct", "think"):
        rows = forced(predictions, mode == "think")
        write_text(folder / f"forced_{mode}.jsonl", format_lines(rows))
    lines = "".join(json.dumps(record) + "\n" for record in repeated(predictions))
    write_text(folder / "samples.jsonl", lines)
    for variant, loss in (("jpeg-90", 0.1), ("jpeg-50", 0.5), ("jpeg-30", 0.9), ("blur-2", 0.8)):
        rows = predictions_of(n_images, seed, skill * (1 - loss))
        write_text(folder / "robustness" / f"{variant}.jsonl", format_lines(rows))
    return predictions
