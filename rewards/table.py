"""Table 1 of Fake-HR1 as Markdown, with intervals, thinking, tokens and unparsed answers added."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rewards.comparison import constant_answer
from rewards.judged import Judged
from rewards.labels import LABELS, QUESTION_BANKS
from rewards.metrics import compute_metrics

_HEADER = (
    "| Method | Questions | Real Acc | Real F1 | Fake Acc | Fake F1 | Overall Acc | Overall F1 "
    "| Thinking | Tokens | Unparsed | n |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
)
_NOT_DEFINED = "–"  # noqa: RUF001


def table1(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return Table 1: for each method, a row under simple and one under hard questions.

    Per cent, but for tokens (mean number) and unparsed (number and per cent); 95 % intervals in
    brackets; overall F1 is weighted by support, as in the paper.

    Args:
        rows: Name of a method and its metrics as ``compute_metrics`` or ``constant_rows`` gives
            them. Metrics without a bank make one row of what stands under ``all``.
    """
    lines = []
    for name, metrics in rows:
        banks = [bank for bank in QUESTION_BANKS if bank in metrics]
        lines += [_row(name, bank, metrics[bank]) for bank in banks]
        if not banks:
            lines.append(_row(name, _NOT_DEFINED, metrics["all"]))
    return _HEADER + "\n".join(lines) + "\n"


def constant_rows(judged: Judged) -> list[tuple[str, dict[str, Any]]]:
    """Return rows for ``table1``: what each constant answer scores on the images, each once."""
    images = judged.select(np.unique(judged.id, return_index=True)[1])
    rows = []
    for label in LABELS:
        metrics = compute_metrics(constant_answer(images, label), n_bootstrap=0)["all"]
        metrics |= {"thinking_rate": None, "mean_completion_tokens": None}
        rows.append((f"always {label}", {"all": metrics}))
    return rows


def _row(name: str, questions: str, metrics: Mapping[str, Any]) -> str:
    ci95 = metrics.get("ci95", {})
    of_classes = [
        _per_cent(metrics[label][key], ci95.get(label, {}).get(key))
        for label in LABELS
        for key in ("accuracy", "f1")
    ]
    overall = [_per_cent(metrics[key], ci95.get(key)) for key in ("accuracy", "f1_weighted")]
    tokens = metrics["mean_completion_tokens"]
    cells = [
        name.replace("|", r"\|"),
        questions,
        *of_classes,
        *overall,
        _per_cent(metrics["thinking_rate"]),
        _NOT_DEFINED if tokens is None else f"{tokens:.1f}",
        f"{metrics['n_unparsed']} ({_per_cent(metrics['n_unparsed'] / metrics['n'])})",
        str(metrics["n"]),
    ]
    return "| " + " | ".join(cells) + " |"


def _per_cent(fraction: float | None, ci95: Sequence[float] | None = None) -> str:
    if fraction is None:
        return _NOT_DEFINED
    text = f"{100 * fraction:.2f}"
    if ci95 is None:
        return text
    low, high = ci95
    return f"{text} [{100 * low:.2f}, {100 * high:.2f}]"
