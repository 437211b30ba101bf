"""The metrics of Table 1 of Fake-HR1, and of thinking, from predictions.

The paper does not say how its table is computed; these rules give back each of its rows (see
``tests/rewards/test_paper_table.py``): the accuracy of a class is its recall over all its images;
overall F1 is the mean of the two classes' F1, weighted by support; an answer that cannot be parsed
is wrong for its own class and no prediction of the other one.
"""

from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, recall_score

from rewards.errors import UserError
from rewards.intervals import metric_intervals
from rewards.judged import UNPARSED, Judged, judge
from rewards.labels import LABELS, QUESTION_BANKS

__all__ = ["compute_metrics", "judge", "point_estimates"]


def compute_metrics(judged: Judged, n_bootstrap: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Return the metrics of all predictions and of each bank that is there.

    Args:
        judged: What ``judge`` makes of the predictions.
        n_bootstrap: Rounds of the bootstrap; 0 leaves the intervals out.
        seed: Seed of the bootstrap.

    Returns:
        The content of ``metrics.json``: keys ``all``, ``simple``, ``hard`` (a bank only if it is
        there), each ``point_estimates`` and, under ``ci95``, ``metric_intervals``. Fractions, not
        per cent.

    Raises:
        UserError: A setting is out of range.
    """
    if n_bootstrap < 0 or seed < 0:
        raise UserError(
            f"n_bootstrap is {n_bootstrap} and seed {seed}; expected 0 or more of each "
            "(n_bootstrap 0: no intervals)."
        )
    parts = {"all": judged}
    for bank in QUESTION_BANKS:
        in_bank = judged.question_bank == bank
        if in_bank.any():
            parts[bank] = judged.select(in_bank)
    metrics = {name: point_estimates(part) for name, part in parts.items()}
    if n_bootstrap:
        for name, part in parts.items():
            metrics[name]["ci95"] = metric_intervals(part, n_bootstrap, seed)
    return metrics


def point_estimates(judged: Judged) -> dict[str, Any]:
    """Return the metrics of one set of judged predictions.

    ``real`` and ``fake`` hold n, accuracy and F1 of the class, None where the class is absent; an
    absent class has F1 0 in ``f1_macro`` and no weight in ``f1_weighted``.
    """
    # "Unparsed" is a third predicted value: no label equals it, so it has no support and no F1.
    known: dict[str, Any] = {"labels": list(range(len(LABELS))), "zero_division": 0}
    by_class: dict[str, Any] = {**known, "average": None}
    label, verdict = judged.label, judged.verdict
    recall = np.asarray(recall_score(label, verdict, **by_class))
    f1 = np.asarray(f1_score(label, verdict, **by_class))
    metrics: dict[str, Any] = {
        "n": len(label),
        "accuracy": float(accuracy_score(label, verdict)),
        "f1_weighted": float(f1_score(label, verdict, average="weighted", **known)),
        "f1_macro": float(f1_score(label, verdict, average="macro", **known)),
        "f1_real_positive": float(f1[LABELS.index("real")]),
        "n_unparsed": int((verdict == UNPARSED).sum()),
        "well_formed_rate": float(judged.well_formed.mean()),
        "thinking_rate": float(judged.thinking.mean()),
        "mean_completion_tokens": float(judged.n_tokens.mean()),
    }
    for i, name in enumerate(LABELS):
        n = int((label == i).sum())
        metrics[name] = {
            "n": n,
            "accuracy": float(recall[i]) if n else None,
            "f1": float(f1[i]) if n else None,
        }
    return metrics
