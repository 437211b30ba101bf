"""A closer look at images whose perceptual hashes are near: is it the same picture?

Among millions of images, thousands of pairs have near 64-bit hashes by chance, and flat images
(black frames, blank pages) all have the same few. A fingerprint is the grey image at 32 x 32, freed
of its low frequencies (those the perceptual hash has seen) and scaled to unit variance; two images
are near duplicates if their fingerprints correlate. How far copies and other images lie apart was
measured on the embedded set, see ``tests/data_prep/test_audit_near.py``.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from data_prep.audit.folder import Shard, encoded_image, iter_rows
from data_prep.audit.streaming import RowGroupTask, places_by_row_group, run_pool
from data_prep.image_check import BadImage, decode_rgb

SIDE_PX = 32
MARGIN_PX = 4  # at the very edge, a slope is no different from structure: it is cut off
SMOOTHING_PX = 2.0
SIZE = SIDE_PX * SIDE_PX
SCALE = 32.0  # int8 steps in one standard deviation: the range is +- 4
# On 940 real crops of the embedded set: 99 % of the copies lie above 0.85, saved as JPEG of
# quality 20 to 90 or WebP 50, halved, doubled, blurred, or with 1 px of 112 cut off each side; of
# 428,400 pairs of different photographs the most alike lie at 0.56.
MIN_CORRELATION = 0.7
# Grey levels of the high-passed 32 x 32 image. Below, rounding and JPEG noise are all that is left.
MIN_SPREAD = 0.5


def fingerprint(image: Image.Image) -> np.ndarray | None:
    """Return the fingerprint, int8 [SIZE]; None for an image too flat to have one."""
    side = SIDE_PX + 2 * MARGIN_PX
    small = image.convert("L").resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    pixels = np.asarray(small, dtype=np.float32)
    fine = pixels - gaussian_filter(pixels, SMOOTHING_PX)
    fine = fine[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    fine -= fine.mean()
    spread = fine.std()
    if spread < MIN_SPREAD:
        return None
    return np.clip(np.rint(fine.ravel() / spread * SCALE), -127, 127).astype(np.int8)


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the correlation of each of ``first`` [n, SIZE] with each of ``second``: [n, m]."""
    a, b = (_unit(np.asarray(x, dtype=np.float32)) for x in (first, second))
    return a @ b.T


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


def read_fingerprints(
    places: Sequence[tuple[Shard, int]], num_proc: int
) -> tuple[np.ndarray, np.ndarray]:
    """Decode the images at ``places`` (shard, row), each row group once.

    Returns:
        Fingerprints, int8 [n, SIZE], and whether each image has one, bool [n].
    """
    prints = np.zeros((len(places), SIZE), np.int8)
    has_print = np.zeros(len(places), bool)
    tasks = places_by_row_group(places)
    sizes = [len(rows) for _, _, rows, _ in tasks]
    results = run_pool(_fingerprints, tasks, sizes, num_proc, "comparing near images")
    for (_, _, _, positions), found in zip(tasks, results, strict=True):
        for position, value in zip(positions, found, strict=True):
            if value is not None:
                prints[position], has_print[position] = value, True
    return prints, has_print


def _fingerprints(task: RowGroupTask) -> list[np.ndarray | None]:
    shard, row_group, rows, _ = task
    wanted = set(rows)
    found: dict[int, np.ndarray | None] = {}
    for position, row in iter_rows(shard.path, row_group, [shard.image_column]):
        if position not in wanted:
            continue
        try:
            data = encoded_image(row[shard.image_column], shard.path.parent)
            found[position] = fingerprint(decode_rgb(data))
        except (BadImage, OSError, ValueError):
            found[position] = None
    return [found[row] for row in rows]
