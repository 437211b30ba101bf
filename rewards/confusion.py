"""Accuracy, recall and F1 from confusion counts, for one table or for thousands at once."""

from typing import Any

import numpy as np

from rewards.judged import UNPARSED, Judged
from rewards.labels import LABELS

N_VERDICTS = UNPARSED + 1
N_CELLS = len(LABELS) * N_VERDICTS  # of the confusion matrix, label x verdict
VERDICTS = (*LABELS, "unparsed")


def cell_of(judged: Judged) -> np.ndarray:
    """Return the number of each prediction's cell in the flattened confusion matrix."""
    return judged.label * N_VERDICTS + judged.verdict


def confusion_counts(judged: Judged) -> dict[str, dict[str, int]]:
    """Return the number of predictions by label and verdict, unparsed ones in their own column."""
    counts = np.bincount(cell_of(judged), minlength=N_CELLS).reshape(len(LABELS), N_VERDICTS)
    return {
        label: dict(zip(VERDICTS, map(int, row), strict=True))
        for label, row in zip(LABELS, counts, strict=True)
    }


def classification(confusion: np.ndarray) -> dict[str, Any]:
    """Return accuracy and F1 of each table.

    The definitions are scikit-learn's, as in ``rewards.metrics.point_estimates``, for all tables at
    once.

    Args:
        confusion: Counts, shape (..., n_labels, n_verdicts).

    Returns:
        Arrays of shape (...), the classes' under their names; NaN where a class is absent.
    """
    support = confusion.sum(axis=-1)  # [..., label]
    n_predicted = confusion.sum(axis=-2)[..., : len(LABELS)]
    n_right = np.diagonal(confusion, axis1=-2, axis2=-1)
    n = support.sum(axis=-1)
    with np.errstate(invalid="ignore"):  # 0 / 0 in tables without a class
        recall = n_right / support
        f1 = np.nan_to_num(2 * n_right / (support + n_predicted))
        result: dict[str, Any] = {
            "accuracy": n_right.sum(axis=-1) / n,
            "f1_weighted": (f1 * support).sum(axis=-1) / n,
        }
    f1_if_present = np.where(support > 0, f1, np.nan)
    return {
        **result,
        "f1_macro": f1.mean(axis=-1),
        "f1_real_positive": f1[..., LABELS.index("real")],
        "f1_fake_positive": f1[..., LABELS.index("fake")],
        **{
            label: {"accuracy": recall[..., i], "f1": f1_if_present[..., i]}
            for i, label in enumerate(LABELS)
        },
    }
