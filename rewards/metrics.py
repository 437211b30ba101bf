"""The metrics of Table 1 of Fake-HR1, and of thinking, from predictions.

The paper does not say how its table is computed; these rules give back each of its rows (see
``tests/rewards/test_paper_table.py``): the accuracy of a class is its recall over all its images;
overall F1 is the mean of the two classes' F1, weighted by support; an answer that cannot be parsed
is wrong for its own class and no prediction of the other one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, recall_score

from rewards.confusion import confusion_counts
from rewards.errors import UserError
from rewards.intervals import metric_intervals
from rewards.judged import UNPARSED, Judged, judge
from rewards.labels import ALL_BANKS, LABELS, check_question_bank

__all__ = ["compute_metrics", "judge", "point_estimates"]


def compute_metrics(
    judged: Judged,
    n_bootstrap: int = 1000,
    seed: int = 0,
    required_banks: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the metrics of all predictions and of each bank that is there.

    Args:
        judged: What ``judge`` makes of the predictions.
        n_bootstrap: Rounds of the bootstrap; 0 leaves the intervals out.
        seed: Seed of the bootstrap.
        required_banks: Banks that must be there.

    Returns:
        The first keys of each part of ``metrics.json`` (see ``rewards.summary``): ``all``,
        ``simple``, ``hard``, ``neutral`` (a bank only if it is there), each ``point_estimates``
        and, under ``ci95``, ``metric_intervals``. Fractions, not per cent.

    Raises:
        UserError: A setting is out of range or a required bank has no prediction.
    """
    if n_bootstrap < 0 or seed < 0:
        raise UserError(
            f"n_bootstrap is {n_bootstrap} and seed {seed}; expected 0 or more of each "
            "(n_bootstrap 0: no intervals)."
        )
    parts = split_banks(judged, required_banks)
    metrics = {name: point_estimates(part) for name, part in parts.items()}
    if n_bootstrap:
        for name, part in parts.items():
            metrics[name]["ci95"] = metric_intervals(part, n_bootstrap, seed)
    return metrics


def split_banks(judged: Judged, required_banks: Sequence[str] = ()) -> dict[str, Judged]:
    """Return ``all`` predictions and those of each bank that is there.

    Raises:
        UserError: A required bank is unknown or has no prediction.
    """
    parts = {"all": judged}
    for bank in ALL_BANKS:
        in_bank = judged.question_bank == bank
        if in_bank.any():
            parts[bank] = judged.select(in_bank)
    for bank in required_banks:
        check_question_bank(bank)
        if bank not in parts:
            raise UserError(
                f"there is no prediction under question bank {bank!r}, which was asked for; there "
                f"are {[f'{name}: {len(part.id)}' for name, part in parts.items()]}. Run the "
                f"evaluation with mode {bank!r}, or do not ask for it."
            )
    return parts


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
        "f1_fake_positive": float(f1[LABELS.index("fake")]),
        "n_unparsed": int((verdict == UNPARSED).sum()),
        "well_formed_rate": float(judged.well_formed.mean()),
        "thinking_rate": float(judged.thinking.mean()),
        "mean_completion_tokens": float(judged.n_tokens.mean()),
        "confusion": confusion_counts(judged),
    }
    for i, name in enumerate(LABELS):
        n = int((label == i).sum())
        metrics[name] = {
            "n": n,
            "accuracy": float(recall[i]) if n else None,
            "f1": float(f1[i]) if n else None,
        }
    return metrics
