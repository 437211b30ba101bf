"""95 % intervals of the metrics."""

from typing import Any

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
    sums = sum_by_unit(
        judged.unit, *cells, judged.well_formed, judged.thinking, judged.n_tokens
    )  # [n_units, N_CELLS + 3]
    n_rounds = n_bootstrap if len(sums) > 1 else 0
    rounds = resampled_sums(sums, n_rounds, seed)
    confusion = rounds[:, :N_CELLS].reshape(n_rounds, len(LABELS), N_VERDICTS)
    well_formed, thinking, tokens = (rounds[:, N_CELLS:] / confusion.sum(axis=(1, 2))[:, None]).T
    return {
        "unit": judged.unit_name,
        "n_units": len(sums),
        "n_bootstrap": n_bootstrap,
        **_interval_of_each(classification(confusion)),
        "well_formed_rate": interval(well_formed),
        "thinking_rate": interval(thinking),
        "mean_completion_tokens": interval(tokens),
    }


def _interval_of_each(rounds: dict[str, Any]) -> dict[str, dict[str, Interval] | Interval]:
    return {
        key: {k: interval(v) for k, v in value.items()}
        if isinstance(value, dict)
        else interval(value)
        for key, value in rounds.items()
    }
