"""The metrics by source, generator, category, image size, pass rate and label."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from rewards.bootstrap import interval, resampled_sums, sum_by_unit
from rewards.confusion import N_CELLS, N_VERDICTS, cell_of, classification, confusion_counts
from rewards.judged import Judged
from rewards.labels import LABELS
from rewards.records import Prediction

MOST_GROUPS = 100
_SIZE_EDGES = (128, 256, 512, 1024)  # pixels of the longer side
_SIZE_NAMES = ("up to 128 px", "129-256 px", "257-512 px", "513-1024 px", "over 1024 px")
PassRates = Mapping[tuple[str, str], tuple[int, int]]  # id and bank: right answers, samples


def group_columns(
    predictions: Sequence[Prediction], pass_rates: PassRates | None = None
) -> dict[str, np.ndarray]:
    """Return for each dimension the group of each prediction, None where it has none.

    ``chameleon`` parts the images of the Chameleon set from the others: the paper leaves the set
    out of its training data (Sec. 3) and not out of its test set. ``pass_rate`` is how many of a
    row's samples were right. A dimension in which no prediction has a group is left out.
    """
    rates = pass_rates or {}
    columns: dict[str, list[str | None]] = {
        "label": [p.label for p in predictions],
        "source": [p.source for p in predictions],
        "generator": [p.generator for p in predictions],
        "category": [p.category for p in predictions],
        "image_size": [_size_bin(p) for p in predictions],
        "pass_rate": [_pass_rate(rates.get((p.id, p.question_bank))) for p in predictions],
    }
    chameleon = [is_chameleon(p) for p in predictions]
    if any(chameleon):
        columns["chameleon"] = ["chameleon" if yes else "without" for yes in chameleon]
    return {
        name: np.array(values, dtype=object)
        for name, values in columns.items()
        if any(value is not None for value in values)
    }


def is_chameleon(prediction: Prediction) -> bool:
    """Return whether a part of the source's name or of the id's path is "chameleon"."""
    names = f"{prediction.source or ''}/{prediction.id}".lower().replace(":", "/").split("/")
    return "chameleon" in names


def breakdowns(
    judged: Judged, columns: Mapping[str, np.ndarray], n_bootstrap: int, seed: int
) -> dict[str, Any]:
    """Return the metrics of each group of each dimension.

    Args:
        judged: The predictions.
        columns: What ``group_columns`` returns for them.
        n_bootstrap: Rounds of the bootstrap within each group.
        seed: Seed of the bootstrap.

    Returns:
        Dimension -> ``n_groups``, ``n_without`` (predictions that have no group) and ``groups``:
        the ``MOST_GROUPS`` largest by name, in the order of their names.
    """
    result = {}
    for dimension, column in columns.items():
        has_group = np.array([value is not None for value in column])
        if not has_group.any():
            continue
        rows = np.flatnonzero(has_group)
        names, number, sizes = np.unique(
            column[rows].astype(str), return_inverse=True, return_counts=True
        )
        by_group = np.split(rows[np.argsort(number, kind="stable")], np.cumsum(sizes)[:-1])
        shown = sorted(np.argsort(-sizes, kind="stable")[:MOST_GROUPS])
        result[dimension] = {
            "n_groups": len(names),
            "n_without": int((~has_group).sum()),
            "groups": {
                str(names[i]): group_metrics(judged.select(by_group[i]), n_bootstrap, seed)
                for i in shown
            },
        }
    return result


def group_metrics(judged: Judged, n_bootstrap: int, seed: int) -> dict[str, Any]:
    """Return the metrics of a group, as the whole's, None where a class is absent.

    ``auroc`` is over the predictions with p(fake), None where a class is absent among them.
    """
    cell = cell_of(judged)
    cells = [cell == i for i in range(N_CELLS)]
    sums = sum_by_unit(judged.unit, *cells, judged.thinking)
    shape = (len(LABELS), N_VERDICTS)
    totals = sums.sum(axis=0)
    scores = classification(totals[:N_CELLS].reshape(shape))
    metrics: dict[str, Any] = {
        "n": len(judged.label),
        **{key: number(scores[key]) for key in ("accuracy", "f1_weighted", "f1_macro")},
        **{label: _class(judged, label, scores[label]) for label in LABELS},
        "n_unparsed": int((judged.verdict == len(LABELS)).sum()),
        "thinking_rate": float(judged.thinking.mean()),
        "mean_completion_tokens": float(judged.n_tokens.mean()),
        "auroc": _auroc(judged),
        "confusion": confusion_counts(judged),
    }
    if n_bootstrap:
        rounds = resampled_sums(sums, n_bootstrap if len(sums) > 1 else 0, seed)
        drawn = classification(rounds[:, :N_CELLS].reshape(-1, *shape))
        n = rounds[:, :N_CELLS].sum(axis=1)
        metrics["ci95"] = {
            "n_units": len(sums),
            **{key: interval(drawn[key]) for key in ("accuracy", "f1_weighted", "f1_macro")},
            **{
                label: {key: interval(values) for key, values in drawn[label].items()}
                for label in LABELS
            },
            "thinking_rate": interval(rounds[:, N_CELLS] / n),
        }
    return metrics


def number(value: np.ndarray) -> float | None:
    """Return a number for JSON, None for NaN."""
    return None if np.isnan(value) else float(value)


def _class(judged: Judged, label: str, scores: Mapping[str, np.ndarray]) -> dict[str, Any]:
    n = int((judged.label == LABELS.index(label)).sum())
    return {"n": n, **{key: number(value) for key, value in scores.items()}}


def _auroc(judged: Judged) -> float | None:
    scored = ~np.isnan(judged.p_fake)
    label = judged.label[scored]
    if len(np.unique(label)) < len(LABELS):
        return None
    return float(roc_auc_score(label == LABELS.index("fake"), judged.p_fake[scored]))


def _size_bin(prediction: Prediction) -> str | None:
    if prediction.width is None or prediction.height is None:
        return None
    longer = max(prediction.width, prediction.height)
    return _SIZE_NAMES[int(np.searchsorted(_SIZE_EDGES, longer))]


def _pass_rate(counts: tuple[int, int] | None) -> str | None:
    return None if counts is None else f"{counts[0]} of {counts[1]}"
