"""How many tokens a row has: text by tokenizer and chat template, image by the processor's rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from transformers import GotOcr2ImageProcessor, Qwen2VLImageProcessor

from recipes.budget.model_size import VisionSize
from recipes.chat_template import GOLD_ANSWERS, render_prompt, render_row
from rewards.errors import UserError

Counts = NDArray[np.int64]
Turns = Sequence[tuple[str, str]]  # role and content

CHARACTERS_PER_TOKEN = 4  # Qwen2.5's tokenizer: 4.2 in the system prompt, 4.9 in English reasoning
TEMPLATE_TOKENS = 16  # <|im_start|>, role and line break of three turns, and the vision marks
SIDE_LIMIT = 2**20  # pixels; two sides are packed into one integer


class TextRule(Protocol):
    """Counts the tokens of prompts and answers, image tokens not included."""

    exact: bool

    def prompt(self, turns: Turns) -> int:
        """Return the tokens of a prompt, up to where the answer starts."""
        ...

    def answers(self, texts: Sequence[str]) -> Counts:
        """Return the tokens of each answer, with what ends the turn."""
        ...


class TemplateText:
    """Counts with the model's own tokenizer and chat template."""

    exact = True

    def __init__(self, processor: Any) -> None:
        """Find what the template writes after an answer."""
        self._processor, self._tokenizer = processor, processor.tokenizer
        turns = [{"role": "user", "content": "?"}]
        opened = render_prompt(processor, turns, generate=True)
        answer = GOLD_ANSWERS[0]
        self._end = render_row(processor, turns, answer)[len(opened) + len(answer) :]

    def prompt(self, turns: Turns) -> int:
        """Return the tokens of a prompt; its one image placeholder is not counted."""
        as_dicts = [{"role": role, "content": content} for role, content in turns]
        text = render_prompt(self._processor, as_dicts, generate=True)
        return self._count([text])[0] - 1

    def answers(self, texts: Sequence[str]) -> Counts:
        """Return the tokens of each answer, end of turn included."""
        return np.array(self._count([text + self._end for text in texts]), dtype=np.int64)

    def _count(self, texts: list[str]) -> list[int]:
        if not texts:
            return []
        return [len(ids) for ids in self._tokenizer(texts, add_special_tokens=False)["input_ids"]]


class CharacterText:
    """Estimates from the number of characters, where no tokenizer can be had."""

    exact = False

    def prompt(self, turns: Turns) -> int:
        """Return an estimate of the tokens of a prompt."""
        return TEMPLATE_TOKENS + sum(_about(content) for _, content in turns)

    def answers(self, texts: Sequence[str]) -> Counts:
        """Return an estimate of the tokens of each answer, two for the end of the turn."""
        return np.array([_about(text) + 2 for text in texts], dtype=np.int64)


def _about(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


@dataclass(frozen=True)
class ImageRule:
    """Counts image tokens as the processor would make them, from width and height alone.

    Attributes:
        image_processor: With its limits set.
        vision: Of the model.
    """

    image_processor: Any
    vision: VisionSize

    def count(self, widths: Counts, heights: Counts) -> tuple[Counts, Counts]:
        """Return patches and tokens of each image.

        Each size is asked once: data sets have far fewer sizes than images.
        """
        packed, index = np.unique(widths * SIDE_LIMIT + heights, return_inverse=True)
        patches = np.array(
            [self._patches(int(p // SIDE_LIMIT), int(p % SIDE_LIMIT)) for p in packed],
            dtype=np.int64,
        )
        tokens = patches // self.vision.patches_per_token
        if self.vision.tile_patches is not None:
            # Tiles of (side^2 + class token) patches; <img> and </img> stand around the image.
            n_tiles = patches // self.vision.tile_patches
            per_tile = (self.vision.tile_patches - 1) // self.vision.patches_per_token
            tokens = n_tiles * per_tile + 2
        return patches[index], tokens[index]

    def _patches(self, width: int, height: int) -> int:
        try:
            # InternVL's processor cuts whatever its image processor's own default says.
            count = self.image_processor.get_number_of_image_patches(
                height, width, {"crop_to_patches": True}
            )
        except ValueError as error:
            raise UserError(
                f"an image of {width} x {height} pixels: {error}. Leave such images out where the "
                "data set is built."
            ) from error
        return count * (self.vision.tile_patches or 1)


def known_image_processor(settings: Mapping[str, Any], limits: Mapping[str, int]) -> Any:
    """Return the image processor of a model of ``known_models``, with other limits where given."""
    kinds = {
        "Qwen2VLImageProcessor": Qwen2VLImageProcessor,
        "GotOcr2ImageProcessor": GotOcr2ImageProcessor,
    }
    values = {key: value for key, value in settings.items() if key != "image_processor_type"}
    return kinds[settings["image_processor_type"]](**{**values, **limits})


def describe(values: Counts) -> dict[str, float]:
    """Return mean, quantiles and maximum."""
    p50, p90, p99 = np.percentile(values, [50, 90, 99])
    return {
        "mean": float(values.mean()),
        "p50": float(p50),
        "p90": float(p90),
        "p99": float(p99),
        "max": float(values.max()),
    }


def histogram(values: Counts, n_bins: int = 24) -> dict[str, list[float]]:
    """Return counts between equally spaced edges, the first at 0."""
    counts, edges = np.histogram(values, bins=n_bins, range=(0, float(values.max()) + 1))
    return {"counts": counts.tolist(), "edges": edges.tolist()}
