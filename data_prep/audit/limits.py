"""Limits of the processor and the trainer, without the libraries that apply them."""

from dataclasses import dataclass

# The limits saved with Qwen2.5-VL checkpoints.
MIN_PIXELS = 56 * 56
MAX_PIXELS = 16_384 * 28 * 28


@dataclass(frozen=True)
class TokenLimits:
    """What the processor and the trainer allow.

    Attributes:
        min_pixels: Smaller images are enlarged.
        max_pixels: Larger images are shrunk.
        max_length: Tokens of a whole row that the trainer keeps; None: all.
    """

    min_pixels: int = MIN_PIXELS
    max_pixels: int = MAX_PIXELS
    max_length: int | None = None
