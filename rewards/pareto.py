"""Accuracy against tokens: which modes and runs no other one beats in both."""

from collections.abc import Sequence
from typing import Any


def mark_front(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the points, each with ``on_front``: no other is as good in both and better in one.

    Args:
        points: Each with ``accuracy`` (more is better) and ``mean_completion_tokens`` (fewer is).
    """

    def beaten(point: dict[str, Any]) -> bool:
        accuracy, tokens = point["accuracy"], point["mean_completion_tokens"]
        return any(
            other["accuracy"] >= accuracy
            and other["mean_completion_tokens"] <= tokens
            and (other["accuracy"] > accuracy or other["mean_completion_tokens"] < tokens)
            for other in points
        )

    return [{**point, "on_front": not beaten(point)} for point in points]


def points_of(run: str, metrics: dict[str, Any], banks: Sequence[str]) -> list[dict[str, Any]]:
    """Return a point for each bank of a run.

    Args:
        run: Name of the run.
        metrics: Content of its ``metrics.json``.
        banks: Banks to make points of, where they are there.
    """
    return [
        {
            "run": run,
            "mode": bank,
            "n": metrics[bank]["n"],
            "accuracy": metrics[bank]["accuracy"],
            "mean_completion_tokens": metrics[bank]["mean_completion_tokens"],
            "accuracy_ci95": metrics[bank].get("ci95", {}).get("accuracy"),
            "tokens_ci95": metrics[bank].get("ci95", {}).get("mean_completion_tokens"),
        }
        for bank in banks
        if bank in metrics
    ]
