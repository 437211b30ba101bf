"""Whether p(fake) means what it says: Brier score, calibration error, reliability curve."""

from typing import Any

import numpy as np
from sklearn.metrics import brier_score_loss
from statsmodels.stats.proportion import proportion_confint

from rewards.bootstrap import interval, resampled_sums, sum_by_unit
from rewards.labels import LABELS

N_BINS = 15  # Guo et al. 2017, "On Calibration of Modern Neural Networks"


def calibration(label: np.ndarray, p_fake: np.ndarray) -> dict[str, Any]:
    """Return how far the scores are from the shares of fakes.

    The expected calibration error is the mean over bins, weighted by their size, of the distance
    between the mean score and the share of fakes: ``ece`` over ``N_BINS`` bins of equal width (the
    upper edge belongs to a bin), ``ece_equal_mass`` over bins that hold the same number of images,
    as far as equal scores allow. ``reliability`` has the equal-width bins that hold something, with
    Wilson's 95 % interval of the share.

    Args:
        label: Index into ``LABELS``, shape (n,) with n > 0.
        p_fake: Scores, shape (n,).
    """
    fake = label == LABELS.index("fake")
    bins = _equal_width(p_fake)
    n, score, fakes = _totals(bins, p_fake, fake)
    low, high = proportion_confint(fakes, np.maximum(n, 1), method="wilson")
    reliability = [
        {
            "low": i / N_BINS,
            "high": (i + 1) / N_BINS,
            "n": int(n[i]),
            "mean_p_fake": float(score[i] / n[i]),
            "share_fake": float(fakes[i] / n[i]),
            "ci95": [float(low[i]), float(high[i])],
        }
        for i in np.flatnonzero(n)
    ]
    return {
        "brier": float(brier_score_loss(fake, p_fake, pos_label=True)),
        "ece": float(_ece(score, fakes, len(label))),
        "ece_equal_mass": float(_ece(*_totals(_equal_mass(p_fake), p_fake, fake)[1:], len(label))),
        "n_bins": N_BINS,
        "reliability": reliability,
    }


def calibration_intervals(
    label: np.ndarray, p_fake: np.ndarray, unit: np.ndarray, n_bootstrap: int, seed: int
) -> dict[str, Any]:
    """Return 95 % intervals of ``brier`` and ``ece``.

    A resampled calibration error has the noise of the draw on top of that of the sample, and the
    error cannot be negative: near zero its interval lies too high.
    """
    fake = label == LABELS.index("fake")
    bins = _equal_width(p_fake)
    gap = p_fake - fake
    columns = [np.where(bins == i, gap, 0.0) for i in range(N_BINS)]
    sums = sum_by_unit(unit, gap**2, np.ones(len(label)), *columns)
    rounds = resampled_sums(sums, n_bootstrap if len(sums) > 1 else 0, seed)
    n = rounds[:, 1]
    return {
        "brier": interval(rounds[:, 0] / n),
        "ece": interval(np.abs(rounds[:, 2:]).sum(axis=1) / n),
    }


def _equal_width(p_fake: np.ndarray) -> np.ndarray:
    """Return each score's bin: (0, 1/N], (1/N, 2/N], …; 0 falls into the first."""
    edges = np.linspace(0, 1, N_BINS + 1)
    return np.searchsorted(edges[1:-1], p_fake, side="left")


def _equal_mass(p_fake: np.ndarray) -> np.ndarray:
    edges = np.unique(np.quantile(p_fake, np.linspace(0, 1, N_BINS + 1)[1:-1]))
    return np.searchsorted(edges, p_fake, side="left")


def _totals(
    bins: np.ndarray, p_fake: np.ndarray, fake: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each bin the number of images, the sum of scores and the number of fakes."""
    n = np.bincount(bins, minlength=N_BINS)
    score = np.bincount(bins, weights=p_fake, minlength=N_BINS)
    return n, score, np.bincount(bins, weights=fake, minlength=N_BINS)


def _ece(score: np.ndarray, fakes: np.ndarray, n: int) -> float:
    return np.abs(score - fakes).sum() / n
