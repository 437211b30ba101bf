"""Figures of numbers with intervals: by group, against tokens, against the strength of a change."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from recipes.report.drawing import COLOURS, INK, MARKERS, RUN_COLOURS, frame, legend, shorten, spans

Interval = Sequence[float] | None


class Estimate(NamedTuple):
    """A fraction with its interval and the number of answers behind it."""

    value: float
    ci95: Interval
    n: int


class Point(NamedTuple):
    """One point of ``pareto``: what was run under which questions, and what came out."""

    run: str
    bank: str
    tokens: Estimate
    accuracy: Estimate


Series = Mapping[str, Mapping[str, Estimate]]  # bank -> group -> estimate


def by_group(series: Series, label: str) -> Figure:
    """Draw a dot with its interval for each group and bank, groups from top to bottom."""
    groups = list(dict.fromkeys(group for values in series.values() for group in values))
    figure, axes = frame(1, 1, height=1.25 + (0.2 + 0.13 * len(series)) * len(groups))
    axis = axes[0][0]
    for number, (bank, values) in enumerate(series.items()):
        shift = 0.2 * (number - (len(series) - 1) / 2)
        places = [groups.index(group) + shift for group in values]
        estimates = list(values.values())
        axis.errorbar(
            [100 * e.value for e in estimates],
            places,
            xerr=100 * np.array(spans([e.value for e in estimates], [e.ci95 for e in estimates])),
            fmt=MARKERS[number % len(MARKERS)],
            markersize=4.5,
            linewidth=1.3,
            color=COLOURS.get(bank, RUN_COLOURS[number % len(RUN_COLOURS)]),
            label=bank,
        )
    n_of = {g: max(v[g].n for v in series.values() if g in v) for g in groups}
    names = [f"{shorten(group)} (n = {n_of[group]:,})" for group in groups]
    axis.set_yticks(range(len(groups)), names)
    axis.set_ylim(len(groups) - 0.5, -0.5)
    axis.set(xlabel=f"{label}, %", xlim=(-2, 102))
    axis.grid(axis="y", visible=False)
    legend(figure, axis)
    return figure


def pareto(points: Sequence[Point]) -> Figure:
    """Draw accuracy against tokens; a line joins what nothing beats in both."""
    figure, axes = frame(1, 1, height=3.9)
    axis = axes[0][0]
    runs = list(dict.fromkeys(point.run for point in points))
    for point in points:
        values = [point.tokens.value], [100 * point.accuracy.value]
        axis.errorbar(
            *values,
            xerr=spans([point.tokens.value], [point.tokens.ci95]),
            yerr=100 * np.array(spans([point.accuracy.value], [point.accuracy.ci95])),
            fmt=MARKERS[runs.index(point.run) % len(MARKERS)],
            markersize=6,
            linewidth=1,
            color=COLOURS.get(point.bank, INK),
            label=f"{shorten(point.run, 18)}, {point.bank}",
        )
    best = frontier(points)
    axis.step(
        [p.tokens.value for p in best],
        [100 * p.accuracy.value for p in best],
        where="post",
        color=INK,
        linewidth=0.9,
        linestyle="--",
        label="best for its tokens",
    )
    axis.set(xlabel="tokens of an answer, mean", ylabel="accuracy, %")
    legend(figure, axis, 3)
    return figure


def frontier(points: Sequence[Point]) -> list[Point]:
    """Return the points than which none is as accurate with fewer tokens, by tokens."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.tokens.value, -p.accuracy.value)):
        if not best or point.accuracy.value > best[-1].accuracy.value:
            best.append(point)
    return best


class Changed(NamedTuple):
    """Accuracy under a change of the images: its family, its strength (None: it has none)."""

    family: str
    strength: float | None
    bank: str
    accuracy: Estimate


def robustness(changed: Sequence[Changed], unchanged: Mapping[str, Estimate]) -> Figure:
    """Draw accuracy against the strength of each change, one panel a family."""
    families = list(dict.fromkeys(point.family for point in changed))
    n_columns = min(3, len(families))
    n_rows = -(-len(families) // n_columns)
    figure, axes = frame(n_rows, n_columns, height=0.6 + 2.1 * n_rows, sharey=True)
    for axis in axes.ravel()[len(families) :]:
        axis.set_visible(False)
    for axis, family in zip(axes.ravel(), families, strict=False):
        for bank, base in unchanged.items():
            own = [p for p in changed if p.family == family and p.bank == bank]
            own.sort(key=lambda p: p.strength or 0.0)
            values = [100 * p.accuracy.value for p in own]
            colour = COLOURS.get(bank, INK)
            places = [p.strength or 0.0 for p in own]
            bars = spans([p.accuracy.value for p in own], [p.accuracy.ci95 for p in own])
            axis.errorbar(
                places,
                values,
                yerr=100 * np.array(bars),
                color=colour,
                marker="o",
                markersize=4,
                linewidth=1.3,
                elinewidth=0.9,
                label=bank,
            )
            axis.axhline(100 * base.value, color=colour, linewidth=0.9, linestyle=":")
        axis.set_title(shorten(family), loc="left")
        axis.set_xlabel("strength" if any(p.strength for p in changed) else "")
    for row in axes:
        row[0].set_ylabel("accuracy, %")
    legend(figure, axes[0][0])
    return figure


class Quarter(NamedTuple):
    """One cell of ``two_by_two``."""

    thinking: float
    accuracy: float
    tokens: float
    n: int


def two_by_two(cells: Mapping[tuple[str, str], Quarter]) -> Figure:
    """Draw how often answers think by question bank (rows) and difficulty of the image."""
    banks = list(dict.fromkeys(bank for bank, _ in cells))
    images = list(dict.fromkeys(image for _, image in cells))
    figure, axes = frame(1, 1, height=0.9 + 0.75 * len(banks))
    axis = axes[0][0]
    for (bank, image), cell in cells.items():
        row, column = banks.index(bank), images.index(image)
        alpha = 0.05 + 0.5 * cell.thinking
        box = Rectangle(
            (column - 0.5, row - 0.5), 1, 1, facecolor=COLOURS["simple"], alpha=alpha, linewidth=0
        )
        axis.add_patch(box)
        words = (
            f"thinks {100 * cell.thinking:.1f} %\nright {100 * cell.accuracy:.1f} %, "
            f"{cell.tokens:.0f} tokens, n = {cell.n:,}"
        )
        axis.text(column, row, words, ha="center", va="center", fontsize=8.5)
    axis.set_xticks(range(len(images)), [f"{image} images" for image in images])
    axis.set_yticks(range(len(banks)), [f"{bank} questions" for bank in banks])
    axis.set(xlim=(-0.5, len(images) - 0.5), ylim=(len(banks) - 0.5, -0.5))
    axis.grid(visible=False)
    return figure
