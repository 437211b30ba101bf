"""Completion lengths (Fig. 5 of Fake-HR1), with repeated segments and without."""

from typing import Any

import numpy as np

from rewards.confusion import N_CELLS, N_VERDICTS, cell_of, classification
from rewards.judged import Judged
from rewards.labels import LABELS

QUANTILES = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95}
_N_BINS = 40


def token_lengths(judged: Judged, max_completion_length: int | None = None) -> dict[str, Any]:
    """Return the distribution of lengths in tokens, the end-of-turn token included.

    The paper leaves completions with repeated segments out of its figure; here ``n_repeated`` says
    how many there are, ``without_repeated`` how the rest do, and all else counts them.

    Args:
        judged: At least one prediction.
        max_completion_length: Where generation stops; ``n_clipped`` counts completions that reach
            it, and is None if it is not given.
    """
    kept = judged.select(~judged.repeats)
    n_tokens = judged.n_tokens
    return {
        **_distribution(n_tokens),
        "histogram": _histogram(n_tokens, kept.n_tokens),
        "n_clipped": None
        if max_completion_length is None
        else int((n_tokens >= max_completion_length).sum()),
        "n_repeated": int(judged.repeats.sum()),
        "without_repeated": {**_distribution(kept.n_tokens), **_scores(kept)},
    }


def _distribution(n_tokens: np.ndarray) -> dict[str, Any]:
    """Return n, mean, median and quantiles; None where there is no completion."""
    if not len(n_tokens):
        return {"n": 0, "mean": None, "median": None, "quantiles": dict.fromkeys(QUANTILES)}
    quantiles = np.quantile(n_tokens, list(QUANTILES.values()))
    return {
        "n": len(n_tokens),
        "mean": float(n_tokens.mean()),
        "median": float(np.median(n_tokens)),
        "quantiles": dict(zip(QUANTILES, map(float, quantiles), strict=True)),
    }


def _histogram(n_tokens: np.ndarray, kept: np.ndarray) -> dict[str, list[int]]:
    """Return counts in bins of whole tokens; bin i holds edges[i] <= tokens < edges[i + 1]."""
    width = max(1, -(-(int(n_tokens.max()) + 1) // _N_BINS))
    edges = np.arange(0, int(n_tokens.max()) + width + 1, width)
    return {
        "edges": edges.tolist(),
        "counts": np.histogram(n_tokens, edges)[0].tolist(),
        "counts_without_repeated": np.histogram(kept, edges)[0].tolist(),
    }


def _scores(judged: Judged) -> dict[str, float | None]:
    names = ("accuracy", "f1_weighted", "thinking_rate")
    if not len(judged.label):
        return dict.fromkeys(names)
    counts = np.bincount(cell_of(judged), minlength=N_CELLS).reshape(len(LABELS), N_VERDICTS)
    scores = classification(counts)
    return {
        "accuracy": float(scores["accuracy"]),
        "f1_weighted": float(scores["f1_weighted"]),
        "thinking_rate": float(judged.thinking.mean()),
    }
