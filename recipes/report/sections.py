"""The sections of the page that every evaluation has."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recipes.report import figures
from recipes.report.drawing import draw
from recipes.report.evaluation import Evaluation
from recipes.report.page import Section, Tile
from recipes.report.tables import (
    NOT_DEFINED,
    Cell,
    Row,
    Table,
    count,
    number,
    per_cent,
    text,
    with_interval,
)
from rewards.confusion import VERDICTS
from rewards.labels import LABELS


def headline(run: Evaluation) -> str:
    """Return what was evaluated, in a sentence."""
    n_images = len(set(run.judged.id))
    labels = run.judged.label[np.unique(run.judged.id, return_index=True)[1]]
    by_label = ", ".join(f"{int((labels == i).sum()):,} {name}" for i, name in enumerate(LABELS))
    commit = run.run.get("git_commit")
    made = f" Evaluated at commit {commit}." if commit else ""
    return (
        f"{len(run.predictions):,} answers to {n_images:,} images ({by_label}) under "
        f"{_enumerated(figures.banks_of(run))} questions.{made}"
    )


def tiles(run: Evaluation) -> list[Tile]:
    """Return accuracy, thinking and length under each bank."""
    made = []
    for bank in figures.banks_of(run):
        metrics = run.metrics[bank]
        accuracy = per_cent(*with_interval(metrics, "accuracy"))
        made.append(
            Tile(
                f"Accuracy, {bank} questions",
                f"{accuracy.text} %",
                [
                    f"95 % interval {accuracy.interval}" if accuracy.interval else "no interval",
                    f"thinks in {100 * metrics['thinking_rate']:.1f} % of the answers",
                    f"{metrics['mean_completion_tokens']:.1f} tokens an answer",
                    f"{metrics['n_unparsed']:,} of {metrics['n']:,} without a verdict",
                ],
            )
        )
    return made


def token_section(runs: Sequence[Evaluation], folder: Path) -> Section:
    """Return Fig. 5: the lengths, with and without answers that repeat themselves."""
    n_loops = sum(run.metrics["all"]["tokens"]["n_repeated"] for run in runs)
    n = sum(run.metrics["all"]["n"] for run in runs)
    chart = draw(
        "token_lengths",
        f"Distribution of answer lengths in tokens (Fig. 5), n = {n:,} answers, of which "
        f"{n_loops:,} repeat themselves. Boxes: quartiles and median; whiskers: 5 and 95 %; "
        "dot: mean.",
        "Histograms of answer lengths by question bank, and a box for each run and bank: "
        + "; ".join(_length_words(run) for run in runs),
        folder,
        figures.token_lengths,
        runs,
    )
    return Section(
        "tokens",
        "Token lengths",
        [
            "The paper leaves outputs with repeated segments out of its Figure 5. Here both are "
            "shown: all answers, and those that do not repeat themselves."
        ],
        tables=[_length_table(runs)],
        charts=[chart],
    )


def _length_table(runs: Sequence[Evaluation]) -> Table:
    rows = []
    for run in runs:
        for bank in figures.banks_of(run):
            tokens = run.metrics[bank]["tokens"]
            kept = tokens["without_repeated"]
            link = {"run": run.name, "questions": bank}
            loops = {**link, "repeats": "yes"} if tokens["n_repeated"] else None
            rows.append(
                Row(
                    [
                        text(run.name),
                        text(bank),
                        count(tokens["n"], link),
                        *(number(value) for value in _summary(tokens)),
                        count(tokens["n_clipped"]),
                        count(tokens["n_repeated"], loops),
                        count(kept["n"], {**link, "repeats": "no"}),
                        *(number(value) for value in _summary(kept)),
                        per_cent(kept["accuracy"]),
                    ]
                )
            )
    columns = [
        *("Run", "Questions", "n", "Mean", "Median", "95 %", "Cut at the limit", "Repeat"),
        *("n without", "Mean", "Median", "95 %", "Acc without"),
    ]
    caption = (
        "Tokens of all answers; then of those that do not repeat themselves, and their accuracy"
    )
    return Table(caption, columns, rows, n_text=2)


def _summary(tokens: dict[str, Any]) -> tuple[float | None, ...]:
    return tokens["mean"], tokens["median"], tokens["quantiles"]["p95"]


def _length_words(run: Evaluation) -> str:
    banks = figures.banks_of(run)
    means = [f"{bank} {run.metrics[bank]['mean_completion_tokens']:.0f}" for bank in banks]
    return f"{run.name}, mean tokens {', '.join(means)}"


def confusion_section(runs: Sequence[Evaluation], folder: Path) -> Section:
    """Return label against verdict, unparsed answers in a column of their own."""
    run = runs[0]
    chart = draw(
        "confusion",
        f"Label against verdict of {run.name}; per cent of the row.",
        "The same counts as in the tables below, as a heat map.",
        folder,
        figures.confusion,
        run,
    )
    return Section(
        "confusion",
        "Confusion",
        [
            "An answer in which no verdict can be read is wrong for its own class and no "
            "prediction of the other one. Counts lead to their answers."
        ],
        tables=[_confusion_table(run, bank) for run in runs for bank in figures.banks_of(run)],
        charts=[chart],
        tables_a_row=3,
    )


def _confusion_table(run: Evaluation, bank: str) -> Table:
    counts = run.metrics[bank]["confusion"]
    rows = []
    for label in LABELS:
        n = sum(counts[label].values())
        cells = [text(label)]
        for verdict in VERDICTS:
            link = {"run": run.name, "questions": bank, "label": label}
            link["verdict"] = "none" if verdict == "unparsed" else verdict
            share = f"{100 * counts[label][verdict] / n:.1f} %" if n else ""
            cells.append(Cell(f"{counts[label][verdict]:,}", share, link=link))
        rows.append(Row(cells))
    return Table(f"{run.name}, {bank} questions", ["Label", *VERDICTS], rows)


def run_facts(run: Evaluation) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return how a run was made, from ``run.json``: groups of names and values."""
    groups = [("This evaluation", _pairs(run.run, ("config", "packages")))]
    groups += [
        (title, _pairs(run.run.get(key) or {}))
        for key, title in (("config", "Configuration"), ("packages", "Package versions"))
    ]
    return [(title, pairs) for title, pairs in groups if pairs]


def _pairs(values: dict[str, Any], left_out: Sequence[str] = ()) -> list[tuple[str, str]]:
    pairs = []
    for key, value in values.items():
        if key in left_out:
            continue
        if isinstance(value, dict):
            pairs += [(f"{key}, {name}", inner) for name, inner in _pairs(value)]
        else:
            pairs.append((key, NOT_DEFINED if value is None else str(value)))
    return pairs


def _enumerated(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
