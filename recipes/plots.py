"""Figures of a run: training curves, pass rates, token lengths."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from recipes.run_folder import read_log
from rewards import QUESTION_BANKS

COLOURS = {"simple": "#3b7dd8", "hard": "#d8743b", "neutral": "#4a9a62"}


def plot_log(output_dir: str | Path, keys: Sequence[str]) -> None:
    """Draw each of ``keys`` that ``log.jsonl`` has over the steps into ``curves.png``.

    Events of the log (``recipes.collapse_watch``) are lines across every curve, red where the curve
    is the one that crossed its bound.
    """
    records = read_log(output_dir)
    events = [record for record in records if "event" in record]
    keys = [key for key in keys if any(isinstance(r.get(key), int | float) for r in records)]
    if not keys:
        return
    n_columns = min(4, len(keys))
    n_rows = -(-len(keys) // n_columns)
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=(3.6 * n_columns, 2.6 * n_rows), squeeze=False
    )
    for axis in axes.ravel()[len(keys) :]:
        axis.set_visible(False)
    for axis, key in zip(axes.ravel(), keys, strict=False):
        points = [(r["step"], r[key]) for r in records if isinstance(r.get(key), int | float)]
        axis.plot(*zip(*points, strict=True), linewidth=1.2)
        for event in events:
            own = key.startswith(event["metric"])
            axis.axvline(event["step"], color="red" if own else "grey", linewidth=0.8, ls="--")
        axis.set_title(key, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    _save(figure, Path(output_dir) / "curves.png")


def plot_pass_rates(n_correct: Mapping[str, Sequence[int]], n_samples: int, path: Path) -> None:
    """Draw how many rows of each bank were right 0, 1, … ``n_samples`` times."""
    figure, axis = plt.subplots(figsize=(5.4, 3.2))
    bins = np.arange(n_samples + 1)
    for offset, bank in zip((-0.2, 0.2), QUESTION_BANKS, strict=True):
        counts = np.bincount(np.asarray(n_correct.get(bank, ()), dtype=int), minlength=len(bins))
        bars = axis.bar(bins + offset, counts, width=0.4, label=bank, color=COLOURS[bank])
        axis.bar_label(bars, fontsize=7)
    axis.set_xlabel(f"right answers of {n_samples} (dropped at {n_samples})")
    axis.set_ylabel("rows")
    axis.set_xticks(bins)
    axis.legend(title="question bank")
    _save(figure, path)


def plot_token_lengths(lengths: Mapping[str, Mapping[str, Sequence[int]]], path: Path) -> None:
    """Draw the distribution of completion lengths (Fig. 5), loops included.

    Args:
        lengths: Method to bank to tokens of each completion.
        path: PNG to write.
    """
    figure, axes = plt.subplots(
        1, len(lengths), figsize=(3.4 * len(lengths), 3.0), sharey=True, squeeze=False
    )
    longest = max(max(values) for banks in lengths.values() for values in banks.values())
    bins = np.linspace(0, longest + 1, 40)
    for axis, (method, banks) in zip(axes[0], lengths.items(), strict=True):
        for bank, values in banks.items():
            label = f"{bank}: mean {np.mean(values):.1f}"
            axis.hist(values, bins=bins, alpha=0.7, label=label, color=COLOURS[bank])
        axis.set_title(method, fontsize=10)
        axis.set_xlabel("tokens of a completion")
        axis.legend(fontsize=8)
    axes[0][0].set_ylabel("completions")
    _save(figure, path)


def plot_samples(samples: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw images with their questions and answers.

    Args:
        samples: ``image``, ``truth`` and ``answers`` (bank, method, question, prediction) of each.
        path: PNG to write.
    """
    figure, axes = plt.subplots(
        len(samples),
        2,
        figsize=(11, 2.6 * len(samples)),
        width_ratios=(1, 4),
        squeeze=False,
    )
    for (left, right), sample in zip(axes, samples, strict=True):
        left.imshow(sample["image"])
        left.set_title(sample["truth"], fontsize=8)
        lines = []
        for bank, method, question, answer in sample["answers"]:
            text = f"{method}: {answer.completion}".replace("\n", "\u21b5")
            if f"[{bank}] {question}" not in lines:
                lines.append(f"[{bank}] {question}")
            lines += textwrap.wrap(text, 118, initial_indent="  ", subsequent_indent="    ")[:3]
        right.text(0, 1, "\n".join(lines), fontsize=7, family="monospace", va="top")
        for axis in (left, right):
            axis.axis("off")
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)
