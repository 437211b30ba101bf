"""What a change to the images (JPEG, resizing, …) costs, against the unchanged ones."""

from typing import Any

import numpy as np

from rewards.bootstrap import estimate, interval, ratio_difference
from rewards.breakdowns import group_metrics
from rewards.judged import Judged
from rewards.labels import ALL_BANKS, LABELS
from rewards.pairing import common_rows
from rewards.ranking import ranking, ranking_intervals, ranking_rounds


def robustness(
    original: Judged, changed: Judged, n_bootstrap: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Return the metrics of the changed images and their paired difference, by bank.

    Over the questions that stand in both; a round of the bootstrap draws the same units for both.

    Args:
        original: Answers about the unchanged images; its units are drawn.
        changed: Answers about the changed ones.
        n_bootstrap: Rounds of the bootstrap.
        seed: Seed of the bootstrap.

    Raises:
        UserError: The two have no question in common, or disagree on a label.
    """
    (first, second), _ = common_rows([original, changed])
    before, after = original.select(first), changed.select(second)
    result: dict[str, dict[str, Any]] = {}
    for bank in ALL_BANKS:
        mask = before.question_bank == bank
        if not mask.any():
            continue
        part, other = before.select(mask), after.select(mask)
        result[bank] = {
            **_with_auroc(other, part.unit, n_bootstrap, seed),
            "n_left_out": int((changed.question_bank == bank).sum() - mask.sum()),
            "n_not_asked": int((original.question_bank == bank).sum() - mask.sum()),
            "difference": paired_differences(part, other, n_bootstrap, seed),
        }
    return result


def paired_differences(
    before: Judged, after: Judged, n_bootstrap: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Return after minus before, each ``{value, ci95}``; both hold the same questions in order.

    Of accuracy, the classes' recall, thinking rate, mean tokens, and the AUROC over the questions
    with p(fake) in both.
    """
    unit = before.unit
    right = [part.verdict == part.label for part in (after, before)]

    def difference(ours: np.ndarray, theirs: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        columns = [ours * mask, mask, theirs * mask, mask]
        return estimate(ratio_difference, columns, unit, n_bootstrap, seed)

    every = np.ones(len(unit))
    return {
        "accuracy": difference(*right, every),
        **{
            f"{label}_accuracy": difference(*right, (before.label == i) * 1.0)
            for i, label in enumerate(LABELS)
        },
        "thinking_rate": difference(after.thinking, before.thinking, every),
        "mean_completion_tokens": difference(after.n_tokens, before.n_tokens, every),
        "auroc": _auroc_difference(before, after, n_bootstrap, seed),
    }


def _with_auroc(judged: Judged, unit: np.ndarray, n_bootstrap: int, seed: int) -> dict[str, Any]:
    metrics = group_metrics(judged, n_bootstrap, seed)
    if n_bootstrap:
        scored = ~np.isnan(judged.p_fake)
        columns = (judged.label[scored], judged.p_fake[scored], unit[scored])
        metrics["ci95"]["auroc"] = ranking_intervals(*columns, n_bootstrap, seed)["auroc"]
    return metrics


def _auroc_difference(before: Judged, after: Judged, n_bootstrap: int, seed: int) -> dict[str, Any]:
    scored = ~np.isnan(before.p_fake) & ~np.isnan(after.p_fake)
    label, unit = before.label[scored], before.unit[scored]
    if len(np.unique(label)) < len(LABELS):
        return {"value": None, "ci95": None}
    scores = [part.p_fake[scored] for part in (after, before)]
    ours, theirs = (ranking(label, p)["auroc"] or 0.0 for p in scores)
    result: dict[str, Any] = {"value": ours - theirs, "ci95": None}
    if n_bootstrap and len(np.unique(unit)) > 1:
        rounds = [ranking_rounds(label, p, unit, n_bootstrap, seed)["auroc"] for p in scores]
        result["ci95"] = interval(rounds[0] - rounds[1])
    return result
