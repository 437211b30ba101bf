"""How many tokens an image takes in Qwen2.5-VL, and what the processor does to it before."""

from dataclasses import dataclass

import numpy as np
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

TOKEN_PX = 28  # a merged patch: 2 x 2 patches of 14 px
ENLARGED, SHRUNK, ROUNDED, UNCHANGED, REFUSED = (
    "enlarged",  # to min_pixels
    "shrunk",  # to max_pixels
    "rounded",  # to whole patches only
    "unchanged",
    "refused",  # the processor raises: one side is more than 200 times the other
)
CHANGES = (UNCHANGED, ROUNDED, ENLARGED, SHRUNK, REFUSED)


@dataclass(frozen=True)
class ImageTokens:
    """What becomes of each image.

    Attributes:
        n_tokens: Image tokens of each row, int64 [n]; 0 where the image is refused.
        change: Position in ``CHANGES`` of what is done to it, int64 [n].
    """

    n_tokens: np.ndarray
    change: np.ndarray


def image_tokens(
    width: np.ndarray, height: np.ndarray, min_pixels: int, max_pixels: int
) -> ImageTokens:
    """Return tokens and changes at the given pixel limits; each different size is worked out once.

    Args:
        width: In pixels, integers [n].
        height: Likewise.
        min_pixels: Smaller images are enlarged to about this.
        max_pixels: Larger images are shrunk to about this.
    """
    sizes, inverse = np.unique(
        np.column_stack([width, height]).astype(np.int64), axis=0, return_inverse=True
    )
    results = [_one(int(w), int(h), min_pixels, max_pixels) for w, h in sizes]
    n_tokens, change = np.array(results, np.int64).reshape(-1, 2)[inverse.ravel()].T
    return ImageTokens(n_tokens, change)


def _one(width: int, height: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    try:
        new_height, new_width = smart_resize(height, width, TOKEN_PX, min_pixels, max_pixels)
    except ValueError:
        return 0, CHANGES.index(REFUSED)
    n_tokens = (new_height // TOKEN_PX) * (new_width // TOKEN_PX)
    rounded = round(height / TOKEN_PX) * round(width / TOKEN_PX) * TOKEN_PX**2
    if (new_height, new_width) == (height, width):
        change = UNCHANGED
    elif rounded > max_pixels:
        change = SHRUNK
    else:
        change = ENLARGED if rounded < min_pixels else ROUNDED
    return n_tokens, CHANGES.index(change)
