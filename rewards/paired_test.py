"""Two sets of answers to the same questions: McNemar's test and the paired bootstrap."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from rewards.bootstrap import interval, resampled_sums, sum_by_unit
from rewards.confusion import N_CELLS, N_VERDICTS, cell_of, classification
from rewards.judged import Judged
from rewards.labels import LABELS
from rewards.robustness import paired_differences

_EXACT_BELOW = 25  # discordant pairs: from here on chi-square is near enough (McNemar 1947)


def compare_pair(first: Judged, second: Judged, n_bootstrap: int, seed: int) -> dict[str, Any]:
    """Return second minus first, row by row the same questions.

    ``differences`` holds estimates of accuracy, the classes' recall, weighted F1, thinking rate,
    mean tokens and AUROC; a round of the bootstrap draws the same units of ``first`` for both.
    """
    return {
        "n": len(first.label),
        "mcnemar": mcnemar_test(first.verdict == first.label, second.verdict == second.label),
        "n_verdicts_differ": int((first.verdict != second.verdict).sum()),
        "differences": {
            **paired_differences(first, second, n_bootstrap, seed),
            "f1_weighted": _f1_difference(first, second, n_bootstrap, seed),
        },
    }


def mcnemar_test(first_right: np.ndarray, second_right: np.ndarray) -> dict[str, Any]:
    """Return McNemar's test of equal accuracy, exact with fewer than 25 discordant questions.

    It takes the questions for independent. Crops of one photograph are not: there the bootstrap by
    source is to be trusted, and p is too small.

    Args:
        first_right: Whether each question was answered right, shape (n,).
        second_right: The same of the other.
    """
    table = [
        [(first_right & second_right).sum(), (first_right & ~second_right).sum()],
        [(~first_right & second_right).sum(), (~first_right & ~second_right).sum()],
    ]
    discordant = int(table[0][1] + table[1][0])
    exact = discordant < _EXACT_BELOW
    test: Any = mcnemar(table, exact=exact, correction=True) if discordant else None
    return {
        "both_right": int(table[0][0]),
        "a_alone": int(table[0][1]),
        "b_alone": int(table[1][0]),
        "neither": int(table[1][1]),
        "exact": exact,
        "p": float(test.pvalue) if test else 1.0,
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number (Holm 1979)."""
    return np.asarray(multipletests(p_values, method="holm")[1]).tolist()


def _f1_difference(first: Judged, second: Judged, n_bootstrap: int, seed: int) -> dict[str, Any]:
    cells = [cell_of(part) == i for part in (second, first) for i in range(N_CELLS)]
    sums = sum_by_unit(first.unit, *cells)

    def difference(totals: np.ndarray) -> np.ndarray:
        f1 = classification(totals.reshape(-1, 2, len(LABELS), N_VERDICTS))["f1_weighted"]
        return f1[:, 0] - f1[:, 1]

    rounds = resampled_sums(sums, n_bootstrap if len(sums) > 1 else 0, seed)
    return {
        "value": float(difference(sums.sum(axis=0))[0]),
        "ci95": interval(difference(rounds)),
    }
