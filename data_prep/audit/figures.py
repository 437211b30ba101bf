"""Figures of the audit, as SVG text."""

import io
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from data_prep.audit.biases import ALL_SOURCES, FEATURES, TOGETHER, WARN_ABOVE, Bias
from data_prep.audit.corpus import Corpus

COLOURS = {"real": "#3b7dd8", "fake": "#d8743b"}
MAX_SOURCES = 8
# Without these two, the same figure is another file every time.
plt.rcParams["svg.hashsalt"] = "audit"
METADATA: dict[str, Any] = {"Date": None}


def plot_biases(biases: list[Bias]) -> str | None:
    """Draw the AUC of each feature with its interval: all sources, then those most told by it."""
    if not biases:
        return None
    worst: dict[str, float] = {}
    for bias in biases:
        worst[bias.source] = max(worst.get(bias.source, 0.0), bias.auc.value)
    ranked = sorted(worst, key=lambda source: (source != ALL_SOURCES, -worst[source], source))
    sources = ranked[: MAX_SOURCES + 1]
    names = (*FEATURES, TOGETHER)
    n_columns = min(3, len(sources))
    n_rows = -(-len(sources) // n_columns)
    figure, axes = plt.subplots(
        n_rows,
        n_columns,
        figsize=(1.6 + 2.6 * n_columns, 0.7 + 2.1 * n_rows),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for axis in axes.ravel()[len(sources) :]:
        axis.set_visible(False)
    for axis, source in zip(axes.ravel(), sources, strict=False):
        for bias in (b for b in biases if b.source == source):
            y = names.index(bias.feature)
            colour = "#c0392b" if bias.warns else "#555555"
            axis.plot(bias.auc.interval, [y, y], color=colour, linewidth=1.6)
            axis.plot(bias.auc.value, y, "o", color=colour, markersize=4.5)
        axis.axvline(0.5, color="#999999", linewidth=0.8)
        axis.axvline(WARN_ABOVE, color="#c0392b", linewidth=0.8, linestyle=":")
        axis.set_title(source[:32], fontsize=9)
        axis.set_yticks(range(len(names)), [n.replace("_", " ") for n in names], fontsize=8)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.set_xlim(0.25, 1.02)
        axis.tick_params(axis="x", labelsize=8)
        axis.grid(axis="x", alpha=0.25)
    figure.supxlabel("cross-validated AUC (0.5: chance; dotted: warning)", fontsize=9)
    return _svg(figure)


def plot_labels(table: dict[str, dict[str, int]], column: str) -> str:
    """Draw how many rows of each label the largest values of ``column`` have."""
    shown = list(table)[:20]
    figure, axis = plt.subplots(figsize=(6.4, 1.1 + 0.26 * len(shown)))
    left = np.zeros(len(shown))
    for label, colour in COLOURS.items():
        counts = np.array([table[name][label] for name in shown])
        axis.barh(range(len(shown)), counts, left=left, color=colour, label=label)
        left += counts
    axis.set_yticks(range(len(shown)), [name[:36] for name in shown], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("rows", fontsize=8)
    axis.tick_params(axis="x", labelsize=8)
    rest = f" (20 of {len(table)})" if len(table) > 20 else ""
    axis.set_title(f"label by {column.replace('_', ' ')}{rest}", fontsize=10)
    axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return _svg(figure)


def plot_by_label(
    panels: dict[str, np.ndarray], fake: np.ndarray, *, n_columns: int = 2
) -> str | None:
    """Draw a histogram of each panel's numbers for either label; NaN is left out."""
    panels = {name: values for name, values in panels.items() if np.isfinite(values).any()}
    if not panels:
        return None
    n_columns = min(n_columns, len(panels))
    n_rows = -(-len(panels) // n_columns)
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=(3.6 * n_columns, 2.3 * n_rows), squeeze=False
    )
    for axis in axes.ravel()[len(panels) :]:
        axis.set_visible(False)
    for axis, (name, values) in zip(axes.ravel(), panels.items(), strict=False):
        known = values[np.isfinite(values)]
        # The largest 0.5 % would squeeze all others into one bar; they are put into the last one.
        low, high = float(known.min()), float(np.quantile(known, 0.995))
        axis.hist(
            [np.clip(values[chosen & np.isfinite(values)], low, high) for chosen in (~fake, fake)],
            bins=_bins(known, low, high),
            color=list(COLOURS.values()),
            label=[
                f"{label}: {np.isfinite(values[chosen]).sum():,}"
                for label, chosen in zip(COLOURS, (~fake, fake), strict=True)
            ],
        )
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7, frameon=False)
    axes[0][0].set_ylabel("rows", fontsize=8)
    return _svg(figure)


def _bins(known: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return edges: one bar a number where there are few whole numbers, else 30 bars."""
    if high - low < 30 and (known == np.rint(known)).all():
        return np.arange(np.floor(low) - 0.5, np.ceil(high) + 1.5)
    return np.linspace(low, max(high, low + 1e-9), 31)


def file_panels(corpus: Corpus, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return what a file shows from outside, for ``plot_by_label``."""
    width, height = corpus.numbers("width")[rows], corpus.numbers("height")[rows]
    return {
        "width, px": width,
        "height, px": height,
        "bytes per pixel": corpus.numbers("n_bytes")[rows] / (width * height),
        "JPEG quality (no JPEG: left out)": corpus.numbers("jpeg_quality")[rows],
    }


def _svg(figure: plt.Figure) -> str:
    figure.tight_layout()
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=METADATA)
    plt.close(figure)
    return buffer.getvalue()
