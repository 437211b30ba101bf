"""Two hashes of an image: of its very pixels, and of what it looks like."""

import functools
import math

import numpy as np
import xxhash

# Raised when an image gets another hash: kept measurements of an earlier version are made anew.
HASH_VERSION = 2
HASH_SIDE = 8  # the 8 x 8 lowest frequencies make 64 bits
MIN_BLOCKS = 64  # a side: sixteen to the period of the highest of them
LUMA = np.array((0.299, 0.587, 0.114))  # ITU-R BT.601
# Grey levels, of each frequency's mean product with the image: finer is what rounding leaves.
STEP = 1e-6


def pixel_hash(rgb: np.ndarray) -> bytes:
    """Return 16 bytes of XXH3 over width, height (each 4 bytes, little-endian) and RGB pixels.

    Args:
        rgb: uint8 [height, width, 3], contiguous.
    """
    height, width, _ = rgb.shape
    digest = xxhash.xxh3_128(width.to_bytes(4, "little") + height.to_bytes(4, "little"))
    digest.update(rgb.data)
    return digest.digest()


def perceptual_hash(rgb: np.ndarray) -> int:
    """Return the 64 bits of the usual DCT hash, first bit highest.

    The 8 x 8 lowest frequencies of the grey image, each compared with their median. It is what
    ``imagehash.phash`` computes, except that the image is not resampled to 32 x 32 first: whole
    blocks of pixels are added up, and each sum is weighted with the mean cosine of its pixels. That
    is several times as fast and nearer to the transform of the image itself.

    Args:
        rgb: uint8 [height, width, 3], contiguous.
    """
    height, width, _ = rgb.shape
    rows = _block_sums(rgb.reshape(height, width * 3), _block_length(height))
    turned = rows.T.copy().reshape(width, 3 * len(rows))  # small by now
    columns = _block_sums(turned, _block_length(width))
    by_colour = (_cosines(width) @ columns.astype(np.float64)).reshape(HASH_SIDE, 3, -1)
    low = _cosines(height) @ (LUMA @ by_colour).T
    low = np.rint(low / (height * width * STEP))
    ordered = sorted(low.ravel().tolist())  # np.median takes six times as long
    bits = np.packbits(low > (ordered[31] + ordered[32]) / 2)
    return int.from_bytes(bits.tobytes(), "big")


def _block_length(side: int) -> int:
    return max(1, side // MIN_BLOCKS)


def _block_sums(pixels: np.ndarray, length: int) -> np.ndarray:
    """Add up each ``length`` rows, and what is left of them: [rows, m] -> [blocks, m]."""
    n_rows, n_columns = pixels.shape
    n_whole, n_left = divmod(n_rows, length)
    # 257 x 255 is the last that fits; a block of a block has a 64th of a 64th of all pixels.
    dtype = np.uint16 if pixels.dtype == np.uint8 and length <= 257 else np.uint32
    sums = np.empty((n_whole + bool(n_left), n_columns), dtype)
    whole = pixels[: n_whole * length].reshape(n_whole, length, n_columns)
    sums[:n_whole] = whole[:, 0]
    for row in range(1, length):  # a fifth faster than `np.add.reduce`, which copies to cast
        sums[:n_whole] += whole[:, row]
    if n_left:
        np.add.reduce(pixels[n_whole * length :], axis=0, dtype=dtype, out=sums[n_whole])
    return sums


@functools.lru_cache(maxsize=1024)
def _cosines(side: int) -> np.ndarray:
    """Return the lowest rows of the DCT-II matrix of ``side`` pixels, unnormalised.

    Means over the blocks of ``_block_sums``: float64 [8, blocks].
    """
    frequency, pixel = np.arange(HASH_SIDE)[:, None], np.arange(side)[None]
    rows = np.cos(math.pi * frequency * (2 * pixel + 1) / (2 * side))
    starts = np.arange(0, side, _block_length(side))
    return np.add.reduceat(rows, starts, axis=1) / np.diff(starts, append=side)
