"""How well p(fake) ranks images, without a threshold: AUROC, average precision, recall of fakes.

Everything is a function of how many real and fake images have each distinct score, so that a
bootstrap round is a set of weights on the sorted scores and nothing is sorted again.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from rewards.bootstrap import interval, times_drawn
from rewards.labels import LABELS

FALSE_ALARM_RATES = {"1%": 0.01, "5%": 0.05}
_FAKE = LABELS.index("fake")
_NAMES = ("auroc", "average_precision", *(f"recall_at_{name}" for name in FALSE_ALARM_RATES))


def ranking(label: np.ndarray, p_fake: np.ndarray) -> dict[str, float | None]:
    """Return the measures of a set of scores; fake is the positive class.

    * ``auroc``, ``average_precision``: scikit-learn's.
    * ``recall_at_1%``, ``recall_at_5%``: an image is called fake when its score reaches a
      threshold, so that equal scores are called alike. Of the thresholds at which no more than that
      share of the real images is called fake, the lowest; the share of the fakes that it calls
      fake. 0 where no threshold is that strict.

    Args:
        label: Index into ``LABELS``, shape (n,).
        p_fake: Scores, shape (n,).

    Returns:
        None for each measure while a class is absent, and for a recall while there are fewer real
        images than one false alarm needs (100 at 1 %).
    """
    n_fake = int((label == _FAKE).sum())
    n_real = len(label) - n_fake
    if not n_fake or not n_real:
        return dict.fromkeys(_NAMES)
    is_fake = label == _FAKE
    _, starts, sorted_fake = _sorted(label, p_fake)
    _, _, *recalls = _of_weights(starts, sorted_fake, np.ones((1, len(label))))
    result: dict[str, float | None] = {
        "auroc": float(roc_auc_score(is_fake, p_fake)),
        "average_precision": float(average_precision_score(is_fake, p_fake)),
    }
    for (name, rate), recall in zip(FALSE_ALARM_RATES.items(), recalls, strict=True):
        measurable = rate * n_real >= 1 - 1e-9
        result[f"recall_at_{name}"] = float(recall[0]) if measurable else None
    return result


def ranking_rounds(
    label: np.ndarray, p_fake: np.ndarray, unit: np.ndarray, n_bootstrap: int, seed: int
) -> dict[str, np.ndarray]:
    """Return each measure in each bootstrap round, shape (n_bootstrap,); units are drawn.

    Rounds without a class are NaN. The same units, seed and number of rounds give the same draws,
    so that two sets of scores of the same images can be compared round by round.
    """
    number = np.unique(unit, return_inverse=True)[1]
    order, starts, is_fake = _sorted(label, p_fake)
    n_units = int(number.max()) + 1
    number = number[order]
    draws = times_drawn(n_units, n_bootstrap, np.random.default_rng(seed), len(label))
    # NumPy lets go of the interpreter while it computes, so threads share the rounds; a few at a
    # time, or all draws would be in memory at once.
    n_threads = os.cpu_count() or 1
    parts = []
    with ThreadPoolExecutor(n_threads) as pool:
        while some := list(islice(draws, n_threads)):
            parts += pool.map(lambda drawn: _of_weights(starts, is_fake, drawn[:, number]), some)
    return dict(zip(_NAMES, np.concatenate(parts, axis=1), strict=True))


def ranking_intervals(
    label: np.ndarray, p_fake: np.ndarray, unit: np.ndarray, n_bootstrap: int, seed: int
) -> dict[str, Any]:
    """Return the 95 % interval of each measure that ``ranking`` defines; else None."""
    point = ranking(label, p_fake)
    one_unit = len(unit) == 0 or (unit == unit[0]).all()
    if n_bootstrap == 0 or one_unit or point["auroc"] is None:
        return dict.fromkeys(_NAMES)
    rounds = ranking_rounds(label, p_fake, unit, n_bootstrap, seed)
    return {
        name: None if point[name] is None else interval(values) for name, values in rounds.items()
    }


def _sorted(label: np.ndarray, p_fake: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the order of descending score, where each distinct score begins, and who is fake."""
    order = np.argsort(-p_fake, kind="stable")
    score = p_fake[order]
    starts = np.flatnonzero(np.concatenate([[True], score[1:] != score[:-1]]))
    return order, starts, label[order] == _FAKE


def _of_weights(starts: np.ndarray, is_fake: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the measures under each row of ``weights``, shape (n_measures, n_rows).

    Weights and ``is_fake`` are in the order of descending score.
    """
    hits = np.cumsum(weights * is_fake, axis=1)  # called fake at each threshold
    alarms = np.cumsum(weights, axis=1) - hits
    if len(starts) < weights.shape[1]:  # equal scores are called alike
        ends = np.append(starts[1:], weights.shape[1]) - 1
        hits, alarms = np.take(hits, ends, axis=1), np.take(alarms, ends, axis=1)
    fakes = np.diff(hits, axis=1, prepend=0)  # [rows, distinct scores]
    reals = np.diff(alarms, axis=1, prepend=0)
    n_fake, n_real = hits[:, -1], alarms[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):  # rounds without a class
        # Pairs of a fake and a real image that ranks as high or higher; ties count by half.
        lost = np.einsum("ij,ij->i", fakes, alarms) - np.einsum("ij,ij->i", fakes, reals) / 2
        auroc = 1 - lost / (n_fake * n_real)
        precision = hits / np.maximum(hits + alarms, 1)
        average_precision = np.einsum("ij,ij->i", fakes, precision) / n_fake
        recalls = []
        for rate in FALSE_ALARM_RATES.values():
            most = rate * n_real + 1e-9
            n_allowed = np.array(
                [a.searchsorted(m, "right") for a, m in zip(alarms, most, strict=True)]
            )
            reached = np.take_along_axis(hits, np.maximum(n_allowed - 1, 0)[:, None], axis=1)[:, 0]
            recalls.append(np.where(n_allowed > 0, reached, 0.0) / n_fake)
    defined = (n_fake > 0) & (n_real > 0)
    return np.where(defined, np.stack([auroc, average_precision, *recalls]), np.nan)
