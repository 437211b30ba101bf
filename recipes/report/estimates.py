"""Figures of numbers with intervals: by group, against tokens, against the strength of a change."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from recipes.report.drawing import BLUE, COLOURS, INK, MARKERS, frame, legend, shorten

MOST_GROUPS = 20  # rows of a figure; its table has all
_STRENGTH = re.compile(r"(?P<family>.*?)[-_](?P<strength>\d+(?:\.\d+)?)")


def by_group(banks: Mapping[str, Mapping[str, Any]], key: str, label: str) -> Figure:
    """Draw a dot with its interval for each group and bank, groups from top to bottom.

    Args:
        banks: Bank -> group -> its metrics.
        key: Which of the metrics, a fraction.
        label: What it is, for the axis.
    """
    groups = largest_groups(banks)
    figure, axes = frame(1, 1, height=1.2 + (0.17 + 0.12 * len(banks)) * len(groups))
    axis = axes[0][0]
    for number, (bank, values) in enumerate(banks.items()):
        shift = 0.2 * (number - (len(banks) - 1) / 2)
        for group in (g for g in groups if g in values and values[g][key] is not None):
            _bar(
                axis,
                (100 * values[group][key], groups.index(group) + shift),
                (_hundred(interval_of(values[group], key)), None),
                COLOURS[bank],
                MARKERS[number],
            )
        axis.plot([], [], MARKERS[number], color=COLOURS[bank], label=bank)
    n_of = {g: max(v[g]["n"] for v in banks.values() if g in v) for g in groups}
    axis.set_yticks(range(len(groups)), [f"{shorten(g)} (n = {n_of[g]:,})" for g in groups])
    axis.set_ylim(len(groups) - 0.5, -0.5)
    axis.set(xlabel=f"{label}, %", xlim=(-2, 102))
    axis.grid(axis="y", visible=False)
    legend(figure, axis)
    return figure


def largest_groups(banks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the groups with most answers, as many as a figure shows, in their order."""
    sizes: dict[str, int] = {}
    for values in banks.values():
        for group, metrics in values.items():
            sizes[group] = max(sizes.get(group, 0), metrics["n"])
    kept = sorted(sizes, key=lambda group: -sizes[group])[:MOST_GROUPS]
    return [group for group in sizes if group in kept]


def interval_of(metrics: Mapping[str, Any], key: str) -> Sequence[float] | None:
    """Return the interval of a metric; None without one."""
    return (metrics.get("ci95") or {}).get(key)


def pareto(points: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw accuracy against tokens; a line joins the points that no other one beats in both."""
    figure, axes = frame(1, 1, height=4.3)
    axis = axes[0][0]
    runs = list(dict.fromkeys(point["run"] for point in points))
    for point in points:
        bank, _, forced = point["mode"].partition(", ")
        colour, marker = COLOURS.get(bank, INK), MARKERS[runs.index(point["run"]) % len(MARKERS)]
        place = point["mean_completion_tokens"], 100 * point["accuracy"]
        face = "none" if forced else colour
        bars = point["tokens_ci95"], _hundred(point["accuracy_ci95"])
        _bar(axis, place, bars, colour, marker, face)
        name = f"{shorten(point['run'], 16)}, {point['mode']}"
        axis.plot([], [], marker, color=colour, markerfacecolor=face, label=name)
    front = sorted((p["mean_completion_tokens"], p["accuracy"]) for p in points if p["on_front"])
    axis.step(
        [tokens for tokens, _ in front],
        [100 * accuracy for _, accuracy in front],
        where="post",
        color=INK,
        linewidth=0.9,
        linestyle="--",
        label="beaten by no other",
    )
    axis.set(xlabel="tokens of an answer, mean", ylabel="accuracy, %")
    legend(figure, axis, 3)
    return figure


# What the numbers of a change mean (`recipes.robustness`).
SETTINGS = {
    "jpeg": "quality",
    "webp": "quality",
    "resize": "% of the sides",
    "crop": "% of the sides",
    "blur": "sigma, px",
    "noise": "sigma of 255",
}


def split_variant(variant: str) -> tuple[str, float | None]:
    """Return family and strength of a change: "jpeg-50" is "jpeg" and 50."""
    found = _STRENGTH.fullmatch(variant)
    return (found["family"], float(found["strength"])) if found else (variant, None)


def robustness(variants: Mapping[str, Mapping[str, Any]], unchanged: Mapping[str, float]) -> Figure:
    """Draw accuracy against the strength of each change, one panel a family.

    Args:
        variants: Variant -> bank -> metrics.
        unchanged: Bank -> accuracy on the images as they are.
    """
    families: dict[str, list[tuple[float | None, str]]] = {}
    for variant in variants:
        family, strength = split_variant(variant)
        families.setdefault(family, []).append((strength, variant))
    n_columns = min(3, len(families))
    n_rows = -(-len(families) // n_columns)
    figure, axes = frame(n_rows, n_columns, height=0.6 + 2.1 * n_rows, sharey=True)
    for axis in axes.ravel()[len(families) :]:
        axis.set_visible(False)
    for axis, (family, members) in zip(axes.ravel(), families.items(), strict=False):
        members.sort(key=lambda member: (member[0] is not None, member[0] or 0.0))
        places = [float(i) if s is None else s for i, (s, _) in enumerate(members)]
        for number, (bank, base) in enumerate(unchanged.items()):
            axis.axhline(100 * base, color=COLOURS[bank], linewidth=0.9, linestyle=":")
            known = [
                (place, variants[name][bank])
                for place, (_, name) in zip(places, members, strict=True)
                if bank in variants[name]
            ]
            for place, metrics in known:
                _bar(
                    axis,
                    (place, 100 * metrics["accuracy"]),
                    (None, _hundred(interval_of(metrics, "accuracy"))),
                    COLOURS[bank],
                    MARKERS[number],
                )
            axis.plot(
                [place for place, _ in known],
                [100 * metrics["accuracy"] for _, metrics in known],
                color=COLOURS[bank],
                linewidth=1.2,
                label=bank,
            )
        setting = SETTINGS.get(family)
        axis.set_title(f"{shorten(family)}: {setting}" if setting else shorten(family), loc="left")
        if len(places) <= 6:
            names = [f"{s:g}" if s is not None else "" for s, _ in members]
            axis.set_xticks(places, names)
        axis.margins(x=0.12)
    for row in axes:
        row[0].set_ylabel("accuracy, %")
    legend(figure, axes[0][0])
    return figure


def two_by_two(cells: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Figure:
    """Draw how often answers think by question bank (rows) and difficulty of the image."""
    images = list(next(iter(cells.values())))
    figure, axes = frame(1, 1, height=0.7 + 0.75 * len(cells))
    axis = axes[0][0]
    for row, bank in enumerate(cells):
        for column, image in enumerate(images):
            cell = cells[bank][image]
            rate, accuracy, tokens = (
                cell[key]["value"]
                for key in ("thinking_rate", "accuracy", "mean_completion_tokens")
            )
            words = "no image"
            if cell["n"]:
                corner = (column - 0.5, row - 0.5)
                alpha = 0.05 + 0.5 * rate
                axis.add_patch(Rectangle(corner, 1, 1, facecolor=BLUE, alpha=alpha, linewidth=0))
                words = (
                    f"thinks {100 * rate:.1f} %\nright {100 * accuracy:.1f} %, "
                    f"{tokens:.1f} tokens, n = {cell['n']:,}"
                )
            axis.text(column, row, words, ha="center", va="center")
    axis.set_xticks(range(len(images)), [f"{image} images" for image in images])
    axis.set_yticks(range(len(cells)), [f"{bank} questions" for bank in cells])
    axis.set(xlim=(-0.5, len(images) - 0.5), ylim=(len(cells) - 0.5, -0.5))
    axis.grid(visible=False)
    return figure


def right_answers(n_by_right_answers: Mapping[str, Sequence[int]]) -> Figure:
    """Draw how many rows of each bank were right 0, 1, … K times of K samples."""
    figure, axes = frame(1, 1, height=2.6)
    axis = axes[0][0]
    width = 0.8 / len(n_by_right_answers)
    for number, (bank, counts) in enumerate(n_by_right_answers.items()):
        shift = (number - (len(n_by_right_answers) - 1) / 2) * width
        places = [i + shift for i in range(len(counts))]
        axis.bar(places, counts, width=width, color=COLOURS[bank], alpha=0.85, label=bank)
        axis.set_xticks(range(len(counts)))
        axis.set_xlabel(f"right answers of {len(counts) - 1} samples")
    axis.set_ylabel("images")
    legend(figure, axis)
    return figure


def _hundred(ci95: Sequence[float] | None) -> list[float] | None:
    return None if ci95 is None else [100 * value for value in ci95]


def _bar(
    axis: plt.Axes,
    place: tuple[float, float],
    bars: tuple[Sequence[float] | None, Sequence[float] | None],
    colour: str,
    marker: str,
    face: str | None = None,
) -> None:
    """Draw one point with the intervals that it has, along x and along y."""
    x, y = place
    along_x, along_y = bars
    if along_x is not None:
        axis.plot(along_x, [y, y], color=colour, linewidth=1.2)
    if along_y is not None:
        axis.plot([x, x], along_y, color=colour, linewidth=1.2)
    axis.plot(x, y, marker, color=colour, markerfacecolor=face or colour, markersize=5)
