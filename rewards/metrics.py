"""The metrics of Table 1 and of thinking, from predictions.

Rules (checked against every row of the paper's Table 1): class accuracy is recall over all images of the
class; overall F1 is the support-weighted mean of the two class F1 values; an answer that cannot be
parsed is wrong for its own class and no prediction of the other one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from rewards.answer_format import LABELS, QUESTION_BANKS
from rewards.records import Prediction
from rewards.scoring import score_completion

UNPARSED = len(LABELS)  # index of the third predicted value, which no image has as its label
_CHUNK_CELLS = 4_000_000  # of the bootstrap's weights, held in memory at a time


@dataclass(frozen=True)
class Judged:
    """Predictions, judged: one entry each of n predictions.

    Attributes:
        label: Gold label as an index into ``LABELS``, shape (n,).
        verdict: Predicted label likewise; ``UNPARSED`` for none, shape (n,).
        well_formed: Whether the completion has exactly the answer format, shape (n,).
        thinking: Whether the completion reasons, shape (n,).
        n_tokens: Completion length in tokens, shape (n,).
        bank: Question bank of each, length n.
        unit: What the bootstrap draws: predictions of one unit stay together, length n.
    """

    label: np.ndarray
    verdict: np.ndarray
    well_formed: np.ndarray
    thinking: np.ndarray
    n_tokens: np.ndarray
    bank: np.ndarray
    unit: np.ndarray

    def select(self, mask: np.ndarray) -> "Judged":
        """Return the predictions where ``mask`` is true."""
        return Judged(**{name: values[mask] for name, values in vars(self).items()})


def judge(predictions: Sequence[Prediction], bootstrap_unit: str = "source") -> Judged:
    """Score every completion once.

    Args:
        predictions: What a model answered.
        bootstrap_unit: "source" draws sources (the demo's photographs) with all their images; "id"
            draws images. Where any line lacks its source, images are drawn.
    """
    scored = [score_completion(p.completion, p.label) for p in predictions]
    by_source = bootstrap_unit == "source" and all(p.source is not None for p in predictions)
    return Judged(
        label=np.array([LABELS.index(p.label) for p in predictions]),
        verdict=np.array([LABELS.index(s.verdict) if s.verdict else UNPARSED for s in scored]),
        well_formed=np.array([s.well_formed for s in scored]),
        thinking=np.array([s.thinking for s in scored]),
        n_tokens=np.array([p.n_completion_tokens for p in predictions], dtype=float),
        bank=np.array([p.question_bank for p in predictions]),
        unit=np.array([p.source if by_source else p.id for p in predictions]),
    )


def compute_metrics(judged: Judged, n_bootstrap: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Return the metrics of all predictions and of each bank that is there.

    Args:
        judged: The predictions; at least one.
        n_bootstrap: Rounds of the bootstrap over units; 0 leaves the intervals out.
        seed: Seed of the bootstrap.

    Returns:
        ``{"all": {…}, "simple": {…}, "hard": {…}}``, fractions and not per cent; each holds ``n,
        accuracy, f1_weighted, f1_macro, f1_real_positive, n_unparsed, well_formed_rate, thinking_rate,
        mean_completion_tokens``, ``real`` and ``fake`` with ``n, accuracy, f1`` (null for a class
        that is absent) and ``ci95`` with [low, high] of the same.
    """
    parts = {"all": judged}
    for bank in QUESTION_BANKS:
        mask = judged.bank == bank
        if mask.any():
            parts[bank] = judged.select(mask)
    metrics = {}
    for name, part in parts.items():
        metrics[name] = point_estimates(part)
        if n_bootstrap:
            metrics[name]["ci95"] = intervals(part, n_bootstrap, seed)
    return metrics


def point_estimates(judged: Judged) -> dict[str, Any]:
    """Return the metrics of one set of predictions, by scikit-learn's definitions."""
    label, verdict = judged.label, judged.verdict
    classes = list(range(len(LABELS)))
    _, recall, f1, support = precision_recall_fscore_support(
        label, verdict, labels=classes, zero_division=0
    )
    weighted, macro = (
        precision_recall_fscore_support(
            label, verdict, labels=classes, average=average, zero_division=0
        )[2]
        for average in ("weighted", "macro")
    )
    present = support > 0
    by_class = {
        name: {
            "n": int(support[i]),
            "accuracy": float(recall[i]) if present[i] else None,
            "f1": float(f1[i]) if present[i] else None,
        }
        for i, name in enumerate(LABELS)
    }
    return {
        "n": len(label),
        "accuracy": float((label == verdict).mean()),
        "f1_weighted": float(weighted),
        "f1_macro": float(macro),
        "f1_real_positive": float(f1[LABELS.index("real")]),
        "n_unparsed": int((verdict == UNPARSED).sum()),
        "well_formed_rate": float(judged.well_formed.mean()),
        "thinking_rate": float(judged.thinking.mean()),
        "mean_completion_tokens": float(judged.n_tokens.mean()),
        **by_class,
    }


def intervals(judged: Judged, n_bootstrap: int, seed: int) -> dict[str, Any]:
    """Return 95 % bootstrap intervals of ``point_estimates``, drawing whole units.

    Every metric is a function of sums over predictions, so a round draws how often each unit counts and
    adds up the units' sums; nothing is scored again.
    """
    _, unit = np.unique(judged.unit, return_inverse=True)
    n_units = unit.max() + 1
    confusion = np.zeros((n_units, len(LABELS), len(LABELS) + 1))
    np.add.at(confusion, (unit, judged.label, judged.verdict), 1.0)
    thinking, tokens = (
        np.bincount(unit, weights=v.astype(float), minlength=n_units)
        for v in (judged.thinking, judged.n_tokens)
    )
    sums = np.column_stack([confusion.reshape(n_units, -1), thinking, tokens])
    rounds = _resampled_sums(sums, n_bootstrap, seed)
    shape = (n_bootstrap, len(LABELS), len(LABELS) + 1)
    return _interval_of_rounds(rounds[:, :-2].reshape(shape), rounds[:, -2], rounds[:, -1])


def accuracy_difference(
    judged: Judged, other_verdict: np.ndarray, n_bootstrap: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """Return accuracy minus that of ``other_verdict`` on the same rows, with its 95 % interval.

    Args:
        judged: The predictions.
        other_verdict: Another verdict for every row (a constant, or another model's), shape (n,).
        n_bootstrap: Rounds of the paired bootstrap over units.
        seed: Seed of the bootstrap.

    Returns:
        Difference, low, high.
    """
    difference = (judged.verdict == judged.label).astype(float)
    difference -= other_verdict == judged.label
    _, unit = np.unique(judged.unit, return_inverse=True)
    sums = np.column_stack([np.bincount(unit, weights=difference), np.bincount(unit)])
    rounds = _resampled_sums(sums, n_bootstrap, seed)
    low, high = np.quantile(rounds[:, 0] / rounds[:, 1], (0.025, 0.975))
    return float(difference.mean()), float(low), float(high)


def constant_verdicts(judged: Judged) -> dict[str, Judged]:
    """Return, for each label, what a model would score that always answers it without thinking."""
    n = len(judged.label)
    return {
        name: Judged(
            label=judged.label,
            verdict=np.full(n, index),
            well_formed=np.ones(n, dtype=bool),
            thinking=np.zeros(n, dtype=bool),
            n_tokens=np.zeros(n),
            bank=judged.bank,
            unit=judged.unit,
        )
        for index, name in enumerate(LABELS)
    }


def _resampled_sums(sums: np.ndarray, n_bootstrap: int, seed: int) -> np.ndarray:
    """Return the column sums of ``sums`` over units drawn with replacement, shape (rounds, columns)."""
    n_units = len(sums)
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_CELLS // n_units)
    totals = []
    for start in range(0, n_bootstrap, chunk):
        n_rounds = min(chunk, n_bootstrap - start)
        weights = rng.multinomial(n_units, np.full(n_units, 1.0 / n_units), size=n_rounds)
        totals.append(weights @ sums)
    return np.concatenate(totals)


def _interval_of_rounds(
    confusion: np.ndarray, thinking: np.ndarray, tokens: np.ndarray
) -> dict[str, Any]:
    """Return the quantiles of each metric over rounds; confusion has shape (rounds, label, verdict)."""
    support = confusion.sum(axis=2)
    predicted = confusion.sum(axis=1)[:, : len(LABELS)]
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    total = support.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / support
        f1 = np.nan_to_num(2.0 * hits / (support + predicted))
        weighted = (f1 * support).sum(axis=1) / total
    by_class = {
        name: {"accuracy": _quantiles(recall[:, i]), "f1": _quantiles(f1[:, i])}
        for i, name in enumerate(LABELS)
    }
    return {
        "accuracy": _quantiles(hits.sum(axis=1) / total),
        "f1_weighted": _quantiles(weighted),
        "f1_macro": _quantiles(f1.mean(axis=1)),
        "f1_real_positive": _quantiles(f1[:, LABELS.index("real")]),
        "thinking_rate": _quantiles(thinking / total),
        "mean_completion_tokens": _quantiles(tokens / total),
        **by_class,
    }


def _quantiles(values: np.ndarray) -> list[float] | None:
    """Return [2.5 %, 97.5 %] over the rounds in which the metric is defined; None if there are none."""
    values = values[np.isfinite(values)]
    return [float(q) for q in np.quantile(values, (0.025, 0.975))] if len(values) else None
