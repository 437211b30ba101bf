"""The cluster bootstrap: how far a metric moves when other units had been drawn."""

import numpy as np

Interval = list[float] | None  # [low, high]; None where it is not defined


def sum_by_unit(unit: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    """Return the sums of each column over the predictions of each unit.

    Args:
        unit: Name or number of each prediction's unit, shape (n,).
        *columns: Numbers or booleans, each of shape (n,).

    Returns:
        Shape (n_units, n_columns), float.
    """
    _, number = np.unique(unit, return_inverse=True)
    return np.column_stack([np.bincount(number, weights=column) for column in columns])


def resampled_sums(sums: np.ndarray, n_bootstrap: int, seed: int) -> np.ndarray:
    """Return the column totals of each round, in which units are drawn with replacement.

    Every metric is a function of totals over predictions, so nothing is scored again: a round costs
    one draw and one vector-matrix product, whatever the number of metrics.

    Args:
        sums: Sums by unit, shape (n_units, n_columns).
        n_bootstrap: Number of rounds.
        seed: Seed of the draws.

    Returns:
        Shape (n_bootstrap, n_columns).
    """
    n_units, n_columns = sums.shape
    rng = np.random.default_rng(seed)
    totals = np.empty((n_bootstrap, n_columns))
    for i in range(n_bootstrap):
        times_drawn = np.bincount(rng.integers(n_units, size=n_units), minlength=n_units)
        totals[i] = times_drawn @ sums
    return totals


def interval(values: np.ndarray) -> Interval:
    """Return the 2.5 and 97.5 percentiles over the rounds in which the metric is defined."""
    values = values[np.isfinite(values)]
    return [float(q) for q in np.quantile(values, (0.025, 0.975))] if len(values) else None
