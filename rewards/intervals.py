"""95 % intervals of the metrics."""

from typing import Any

import numpy as np

from rewards.bootstrap import Interval, interval, resampled_sums, sum_by_unit
from rewards.confusion import N_CELLS, N_VERDICTS, cell_of, classification
from rewards.judged import Judged
from rewards.labels import LABELS


def metric_intervals(judged: Judged, n_bootstrap: int, seed: int) -> dict[str, Any]:
    """Return [low, high] of each metric, by the percentile bootstrap over units.

    With fewer than two units there is nothing to draw from: every interval is None. A round without
    a class says nothing about that class.
    """
    cell = cell_of(judged)
    cells = [cell == i for i in range(N_CELLS)]
    sums = sum_by_unit(judged.unit, *cells, judged.well_formed, judged.thinking)
    n_rounds = n_bootstrap if len(sums) > 1 else 0
    rounds = resampled_sums(sums, n_rounds, seed)  # [n_rounds, N_CELLS + 2]
    confusion = rounds[:, :N_CELLS].reshape(n_rounds, len(LABELS), N_VERDICTS)
    well_formed, thinking = (rounds[:, N_CELLS:] / confusion.sum(axis=(1, 2))[:, None]).T
    # Apart, because units that are alike but for their tokens are then of one kind.
    of_tokens = sum_by_unit(judged.unit, judged.n_tokens, np.ones(len(judged.unit)))
    tokens, n = resampled_sums(of_tokens, n_rounds, seed).T
    return {
        "unit": judged.unit_name,
        "n_units": len(sums),
        "n_bootstrap": n_bootstrap,
        **_interval_of_each(classification(confusion)),
        "well_formed_rate": interval(well_formed),
        "thinking_rate": interval(thinking),
        "mean_completion_tokens": interval(tokens / n),
    }


def _interval_of_each(rounds: dict[str, Any]) -> dict[str, dict[str, Interval] | Interval]:
    return {
        key: {k: interval(v) for k, v in value.items()}
        if isinstance(value, dict)
        else interval(value)
        for key, value in rounds.items()
    }
