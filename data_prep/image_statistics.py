"""Measured statistics of an image and the words for them: the reasoning of the embedded set's rows.

A reasoning row must say what is true of that very image. So each sentence is chosen by a
measurement, compared with the middle half of the training photographs' real crops; the label is not
consulted.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from PIL import Image, ImageFilter

LEVELS = ("low", "usual", "high")

# What is said of each statistic at each level.
PHRASES: dict[str, tuple[str, str, str]] = {
    "detail": ("fine detail is weak", "fine detail is normal", "fine detail is strong"),
    "grain": ("flat areas are very smooth", "flat areas have some grain", "flat areas are grainy"),
    "edges": ("edges are soft", "edges are clear", "edges are hard"),
    "texture": ("texture is even", "texture is mixed", "texture is patchy"),
    "colour": ("colour varies little", "colour varies somewhat", "colour varies a lot"),
}


def measure(image: Image.Image) -> dict[str, float]:
    """Return the statistics of ``image`` (any size of at least 32 px, RGB).

    * ``detail``: log of the share of luminance energy above half the Nyquist frequency;
    * ``grain``: log of the 3 x 3 median residual's spread in the smoothest quarter of 8 x 8 blocks;
    * ``edges``: log of the 95th percentile of the Laplacian over that of the gradient;
    * ``texture``: coefficient of variation of the blocks' standard deviations;
    * ``colour``: log of the spread of high-pass chroma.
    """
    luminance = image.convert("L")
    grey = np.asarray(luminance, dtype=np.float64)
    window = np.outer(np.hanning(grey.shape[0]), np.hanning(grey.shape[1]))
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    frequency = np.hypot(
        np.fft.fftfreq(grey.shape[0])[:, None], np.fft.fftfreq(grey.shape[1])[None, :]
    )
    detail = power[frequency > 0.25].sum() / (power.sum() + 1e-9)

    spread = _block_spread(grey)
    median = np.asarray(luminance.filter(ImageFilter.MedianFilter(3)), dtype=np.float64)
    grain = _block_spread(grey - median)[spread <= np.quantile(spread, 0.25)].mean()

    centre = grey[1:-1, 1:-1]
    vertical = grey[2:, 1:-1] - grey[:-2, 1:-1]
    horizontal = grey[1:-1, 2:] - grey[1:-1, :-2]
    gradient = np.quantile(np.hypot(vertical, horizontal) / 2.0, 0.95)
    neighbours = grey[2:, 1:-1] + grey[:-2, 1:-1] + grey[1:-1, 2:] + grey[1:-1, :-2]
    laplacian = np.quantile(np.abs(neighbours - 4.0 * centre), 0.95)

    chroma = Image.merge("RGB", (*image.convert("YCbCr").split()[1:], Image.new("L", image.size)))
    smooth = np.asarray(chroma.filter(ImageFilter.BoxBlur(2)), dtype=np.float64)
    colour = (np.asarray(chroma, dtype=np.float64) - smooth)[:, :, :2].std()
    return {
        "detail": float(np.log(detail + 1e-6)),
        "grain": float(np.log(grain + 0.1)),
        "edges": float(np.log((laplacian + 1.0) / (gradient + 1.0))),
        "texture": float(spread.std() / (spread.mean() + 1e-9)),
        "colour": float(np.log(colour + 0.1)),
    }


def _block_spread(plane: np.ndarray) -> np.ndarray:
    """Return the standard deviation of each whole 8 x 8 block of ``plane``."""
    height, width = (side // 8 for side in plane.shape)
    tiles = plane[: height * 8, : width * 8].reshape(height, 8, width, 8)
    return tiles.std(axis=(1, 3)).ravel()


def usual_ranges(measurements: Iterable[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Return the first and third quartile of each statistic over the training photographs."""
    rows = list(measurements)
    return {
        name: tuple(np.quantile([row[name] for row in rows], (0.25, 0.75)).tolist())
        for name in PHRASES
    }


def levels(measured: Mapping[str, float], ranges: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """Say for each statistic whether it is low, usual or high among the training photographs."""
    return {
        name: LEVELS[int(measured[name] > ranges[name][0]) + int(measured[name] > ranges[name][1])]
        for name in PHRASES
    }


def describe(level_of: Mapping[str, str]) -> str:
    """Put the levels into words, one short sentence a statistic."""
    sentences = (PHRASES[name][LEVELS.index(level)] for name, level in level_of.items())
    return " ".join(sentence[0].upper() + sentence[1:] + "." for sentence in sentences)
