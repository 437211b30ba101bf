"""The cluster bootstrap: how far a metric moves when other units had been drawn."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Interval = list[float] | None  # [low, high]; None where it is not defined

# Drawing kinds costs one binomial a kind and round; beyond this many, drawing units is as fast.
_MOST_KINDS = 4000
_NUMBERS_AT_ONCE = 100_000  # 0.8 MB: what stays in a core's cache


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
    one draw and one vector-matrix product, whatever the number of metrics. Units with equal sums
    cannot be told apart, so where they are of few kinds (single images are), how often each kind is
    drawn is drawn at once: the same distribution, from one multinomial draw a round.

    Args:
        sums: Sums by unit, shape (n_units, n_columns).
        n_bootstrap: Number of rounds.
        seed: Seed of the draws.

    Returns:
        Shape (n_bootstrap, n_columns).
    """
    n_units, n_columns = sums.shape
    rng = np.random.default_rng(seed)
    kinds, n_of_kind = np.unique(sums, axis=0, return_counts=True)
    if len(kinds) <= min(n_units // 4, _MOST_KINDS):
        return rng.multinomial(n_units, n_of_kind / n_units, size=n_bootstrap) @ kinds
    rounds = [drawn @ sums for drawn in times_drawn(n_units, n_bootstrap, rng, n_units)]
    return np.concatenate([np.empty((0, n_columns)), *rounds])


def times_drawn(
    n_units: int, n_bootstrap: int, rng: np.random.Generator, n_numbers: int
) -> Iterator[np.ndarray]:
    """Yield how often each unit is drawn, a few rounds at a time, each [rounds, n_units].

    As many rounds as hold about a MB when the caller makes ``n_numbers`` of each.
    """
    at_once = max(1, _NUMBERS_AT_ONCE // n_numbers)
    for start in range(0, n_bootstrap, at_once):
        drawn = rng.integers(n_units, size=(min(at_once, n_bootstrap - start), n_units))
        yield np.stack([np.bincount(row, minlength=n_units) for row in drawn]).astype(float)


def interval(values: np.ndarray) -> Interval:
    """Return the 2.5 and 97.5 percentiles over the rounds in which the metric is defined."""
    values = values[np.isfinite(values)]
    return [float(q) for q in np.quantile(values, (0.025, 0.975))] if len(values) else None


def estimate(
    statistic: Callable[..., Any],
    columns: Sequence[np.ndarray],
    unit: np.ndarray,
    n_bootstrap: int,
    seed: int,
) -> dict[str, Any]:
    """Return ``value``, a function of column totals, with its ``ci95``.

    Args:
        statistic: Takes the total of each column, numbers or arrays of them.
        columns: Numbers or booleans, each of shape (n,).
        unit: Unit of each prediction, shape (n,).
        n_bootstrap: Number of rounds; 0: no interval.
        seed: Seed of the draws.

    Returns:
        ``value`` is None where the statistic is not defined, ``ci95`` also with fewer than two
        units.
    """
    sums = sum_by_unit(unit, *columns) if len(unit) else np.zeros((0, len(columns)))
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(statistic(*sums.sum(axis=0)))
        if not np.isfinite(value):
            return {"value": None, "ci95": None}
        rounds = resampled_sums(sums, n_bootstrap if len(sums) > 1 else 0, seed)
        return {"value": value, "ci95": interval(statistic(*rounds.T))}


def ratio(numerator: Any, denominator: Any) -> Any:
    """Return the ratio of two totals, for ``estimate``."""
    return numerator / denominator


def ratio_difference(top: Any, top_n: Any, bottom: Any, bottom_n: Any) -> Any:
    """Return the difference of two ratios of totals, for ``estimate``."""
    return top / top_n - bottom / bottom_n
