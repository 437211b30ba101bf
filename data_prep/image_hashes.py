"""Two hashes of an image: of its very pixels, and of what it looks like."""

import functools
import math

import numpy as np
import xxhash
from PIL import Image

HASH_PX = 32  # the image is reduced to 32 x 32 ...
HASH_SIDE = 8  # ... of whose cosine transform the 8 x 8 lowest frequencies make 64 bits
STRIP_PIXELS = 1 << 20


def pixel_hash(rgb: Image.Image) -> bytes:
    """Return 16 bytes of XXH3 over width, height (each 4 bytes, little-endian) and RGB pixels."""
    digest = xxhash.xxh3_128()
    digest.update(rgb.width.to_bytes(4, "little") + rgb.height.to_bytes(4, "little"))
    rows = max(1, STRIP_PIXELS // rgb.width)
    if rows >= rgb.height:
        digest.update(rgb.tobytes())
    else:  # in strips: a second copy of a large image would double the memory
        for top in range(0, rgb.height, rows):
            box = (0, top, rgb.width, min(top + rows, rgb.height))
            digest.update(rgb.crop(box).tobytes())
    return digest.digest()


def perceptual_hash(image: Image.Image) -> int:
    """Return the 64 bits of the usual DCT hash, first bit highest.

    The 8 x 8 lowest frequencies of the grey image at 32 x 32, each compared with their median: what
    ``imagehash.phash`` computes, except that the RGB image is first reduced by a whole factor, then
    resampled, then made grey, which is ten times as fast and moves a bit or two.
    """
    small = image.resize((HASH_PX, HASH_PX), Image.Resampling.LANCZOS, reducing_gap=2).convert("L")
    transform = _cosines()
    low = transform @ np.asarray(small, dtype=np.float64) @ transform.T
    middle = np.partition(low, (31, 32), axis=None)[31:33].mean()  # np.median takes thrice as long
    bits = np.packbits(low > middle)
    return int.from_bytes(bits.tobytes(), "big")


@functools.cache
def _cosines() -> np.ndarray:
    """Return the lowest rows of the DCT-II matrix, unnormalised: float64 [8, 32]."""
    frequency, sample = np.arange(HASH_SIDE)[:, None], np.arange(HASH_PX)[None]
    return np.cos(math.pi * frequency * (2 * sample + 1) / (2 * HASH_PX))
