"""How well something predicts the label: area under the ROC curve, with its standard error."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata


@dataclass(frozen=True)
class Auc:
    """An area under the ROC curve.

    Attributes:
        value: Between 0 and 1; 0.5 is chance.
        error: Its standard error.
    """

    value: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval, within [0, 1]."""
        reach = float(norm.ppf(0.975)) * self.error
        return max(0.0, self.value - reach), min(1.0, self.value + reach)

    @property
    def p_value(self) -> float:
        """One-sided probability of so high a value by chance alone."""
        if self.error == 0:
            return 0.0 if self.value > 0.5 else 1.0
        return float(norm.sf((self.value - 0.5) / self.error))


def folded_auc(
    score: np.ndarray, positive: np.ndarray, cluster: np.ndarray, fold: np.ndarray
) -> Auc:
    """Return the mean over folds of the AUC within each fold.

    Scores of different folds come from different models and are not compared: pooled, they would
    lie below 0.5 for a feature that says nothing. The error is that of DeLong et al. (1988) with
    sums over clusters as in Obuchowski (1997), so that near duplicates do not count as independent
    rows; it takes the fitted models as given.

    Args:
        score: Out-of-fold scores, [n]; higher for positives.
        positive: The label, bool [n]; both values in every fold.
        cluster: Rows with the same number are not independent, int [n]; a cluster is in one fold.
        fold: Fold of each row, int [n].
    """
    names, number = np.unique(fold, return_inverse=True)
    values = np.empty(len(names))
    share = np.empty(len(score))  # of each row in its fold's AUC, minus its expectation
    for i in range(len(names)):
        rows = number == i
        values[i], share[rows] = _auc_and_shares(score[rows], positive[rows])
    _, cluster = np.unique(cluster, return_inverse=True)
    n_clusters = int(cluster.max()) + 1
    sums = np.bincount(cluster, weights=share) / len(names)
    correction = n_clusters / max(n_clusters - 1, 1)
    return Auc(float(values.mean()), float(np.sqrt(correction * (sums**2).sum())))


def _auc_and_shares(score: np.ndarray, positive: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the AUC and each row's structural component (placement minus AUC, over its class)."""
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(score)
    placement = np.empty(len(score))
    # How many of the other class a row beats, ties as half: its rank among all less that among its
    # own class.
    placement[positive] = (ranks[positive] - rankdata(score[positive])) / n_negative
    placement[~positive] = 1 - (ranks[~positive] - rankdata(score[~positive])) / n_positive
    auc = float(placement[positive].mean())
    weight = np.where(positive, n_positive, n_negative)
    return auc, (placement - auc) / weight
