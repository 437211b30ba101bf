"""95 % intervals of the metrics."""

from typing import Any

import numpy as np

from rewards.bootstrap import interval, resampled_sums, sum_by_unit
from rewards.judged import UNPARSED, Judged
from rewards.labels import LABELS

_N_VERDICTS = UNPARSED + 1
_N_CELLS = len(LABELS) * _N_VERDICTS  # of the confusion matrix, label x verdict


def metric_intervals(judged: Judged, n_bootstrap: int, seed: int) -> dict[str, Any]:
    """Return [low, high] of each metric, by the percentile bootstrap over units.

    With fewer than two units there is nothing to draw from: every interval is None.
    """
    cell = judged.label * _N_VERDICTS + judged.verdict
    cells = [cell == i for i in range(_N_CELLS)]
    sums = sum_by_unit(
        judged.unit, *cells, judged.well_formed, judged.thinking, judged.n_tokens
    )  # [n_units, _N_CELLS + 3]
    n_rounds = n_bootstrap if len(sums) > 1 else 0
    rounds = resampled_sums(sums, n_rounds, seed)
    confusion = rounds[:, :_N_CELLS].reshape(n_rounds, len(LABELS), _N_VERDICTS)
    well_formed, thinking, tokens = (rounds[:, _N_CELLS:] / confusion.sum(axis=(1, 2))[:, None]).T
    return {
        "unit": judged.unit_name,
        "n_units": len(sums),
        "n_bootstrap": n_bootstrap,
        **_classification_intervals(confusion),
        "well_formed_rate": interval(well_formed),
        "thinking_rate": interval(thinking),
        "mean_completion_tokens": interval(tokens),
    }


def _classification_intervals(confusion: np.ndarray) -> dict[str, Any]:
    """Return the intervals of accuracy and F1; ``confusion`` is [round, label, verdict].

    The definitions are scikit-learn's, as in ``rewards.metrics.point_estimates``, for all rounds at
    once. A round without a class says nothing about that class.
    """
    support = confusion.sum(axis=2)  # [round, label]
    n_predicted = confusion.sum(axis=1)[:, : len(LABELS)]
    n_right = np.diagonal(confusion, axis1=1, axis2=2)
    n = support.sum(axis=1)
    with np.errstate(invalid="ignore"):  # 0 / 0 in rounds without a class
        recall = n_right / support
        f1 = np.nan_to_num(2 * n_right / (support + n_predicted))
    f1_if_present = np.where(support > 0, f1, np.nan)
    return {
        "accuracy": interval(n_right.sum(axis=1) / n),
        "f1_weighted": interval((f1 * support).sum(axis=1) / n),
        "f1_macro": interval(f1.mean(axis=1)),
        "f1_real_positive": interval(f1[:, LABELS.index("real")]),
        **{
            label: {"accuracy": interval(recall[:, i]), "f1": interval(f1_if_present[:, i])}
            for i, label in enumerate(LABELS)
        },
    }
