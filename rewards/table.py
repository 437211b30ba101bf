"""Table 1 of Fake-HR1, with intervals, thinking, tokens and unparsed answers added.

Markdown and LaTeX, from one list of rows and the templates in ``rewards/templates``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from rewards.comparison import constant_answer
from rewards.judged import Judged
from rewards.labels import ALL_BANKS, LABELS
from rewards.metrics import compute_metrics
from rewards.published import WEIGHTED, Published, PublishedRow

NOT_DEFINED = "–"  # noqa: RUF001
_TEMPLATES = Path(__file__).with_name("templates")
_TEX = {
    **{character: "\\" + character for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    NOT_DEFINED: "--",
    "\n": " ",
}
NamedMetrics = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Cell:
    """A number as text, and its 95 % interval if it has one."""

    text: str
    interval: str | None = None


@dataclass(frozen=True)
class TableRow:
    """A line of the table; ``new_block`` sets it off from the one before."""

    method: str
    questions: str
    cells: Sequence[Cell]
    new_block: bool = False


def table1(rows: Sequence[NamedMetrics], published: Published | None = None) -> str:
    """Return Table 1 in Markdown: for each method, a row a bank.

    Per cent, but for tokens (mean number) and unparsed (number and per cent); 95 % intervals in
    brackets; overall F1 is weighted by support, as in the paper.

    Args:
        rows: Name of a method and its metrics as ``compute_metrics`` or ``constant_rows`` gives
            them. Metrics without a bank make one row of what stands under ``all``.
        published: Rows to put first, with notes on what can be compared.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=False, keep_trailing_newline=True
    )
    return _render(environment, "table1.md.jinja", rows, published)


def table1_latex(rows: Sequence[NamedMetrics], published: Published | None = None) -> str:
    """Return the same table as a LaTeX ``tabular`` with booktabs rules; text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=False,
        keep_trailing_newline=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters["tex"] = escape_tex
    return _render(environment, "table1.tex.jinja", rows, published)


def escape_tex(text: str) -> str:
    """Return ``text`` with the characters that LaTeX reads as commands written out."""
    return "".join(_TEX.get(character, character) for character in text)


def constant_rows(judged: Judged) -> list[tuple[str, dict[str, Any]]]:
    """Return rows for ``table1``: what each constant answer scores on the images, each once."""
    images = judged.select(np.unique(judged.id, return_index=True)[1])
    rows = []
    for label in LABELS:
        metrics = compute_metrics(constant_answer(images, label), n_bootstrap=0)["all"]
        metrics |= {"thinking_rate": None, "mean_completion_tokens": None}
        rows.append((f"always {label}", {"all": metrics}))
    return rows


def _render(
    environment: jinja2.Environment,
    template: str,
    rows: Sequence[NamedMetrics],
    published: Published | None,
) -> str:
    lines = [_published_row(row, published) for row in published.rows] if published else []
    first = len(lines)
    for name, metrics in rows:
        banks = [bank for bank in ALL_BANKS if bank in metrics] or ["all"]
        for bank in banks:
            begins = len(lines) == first and first > 0
            lines.append(_row(name, bank, metrics[bank], begins))
    notes = _notes(rows, published) if published else []
    return environment.get_template(template).render(rows=lines, notes=notes)


def _row(name: str, bank: str, metrics: Mapping[str, Any], new_block: bool) -> TableRow:
    ci95 = metrics.get("ci95", {})
    of_classes = [
        _per_cent(metrics[label][key], ci95.get(label, {}).get(key))
        for label in LABELS
        for key in ("accuracy", "f1")
    ]
    overall = [_per_cent(metrics[key], ci95.get(key)) for key in ("accuracy", "f1_weighted")]
    tokens = metrics["mean_completion_tokens"]
    unparsed = _per_cent(metrics["n_unparsed"] / metrics["n"]).text
    return TableRow(
        method=name,
        questions=NOT_DEFINED if bank == "all" else bank,
        cells=[
            *of_classes,
            *overall,
            _per_cent(metrics["thinking_rate"]),
            Cell(NOT_DEFINED if tokens is None else f"{tokens:.1f}"),
            Cell(f"{metrics['n_unparsed']} ({unparsed})"),
            Cell(str(metrics["n"])),
        ],
        new_block=new_block,
    )


def _published_row(row: PublishedRow, published: Published) -> TableRow:
    def cell(value: float | None, mark: str = "") -> Cell:
        return Cell(NOT_DEFINED if value is None else f"{value:.2f}{mark}")

    unknown = Cell(NOT_DEFINED)
    return TableRow(
        method=f"{row.method} ({row.source})",
        questions=row.questions or NOT_DEFINED,
        cells=[
            *(cell(row.classes[label][key]) for label in LABELS for key in ("accuracy", "f1")),
            cell(row.overall["accuracy"]),
            cell(row.overall["f1"], "" if row.f1 == WEIGHTED else "*"),
            *(unknown, unknown, unknown),
            Cell(str(published.n_real + published.n_fake)),
        ],
    )


def _notes(rows: Sequence[NamedMetrics], published: Published) -> list[str]:
    """Return what must be known to compare published rows with ours."""
    other_f1 = sorted({row.f1 for row in published.rows if row.f1 != WEIGHTED})
    notes = [
        f"F1 marked *: {', '.join(other_f1)}; not comparable with the other rows' weighted F1."
    ]
    theirs = (published.n_real, published.n_fake)
    ours = {
        (part["real"]["n"], part["fake"]["n"])
        for _, metrics in rows
        for bank, part in metrics.items()
        if bank in ALL_BANKS
    }
    if ours - {theirs}:
        counts = " and ".join(f"{real} real, {fake} fake" for real, fake in sorted(ours - {theirs}))
        notes.append(
            f"Published rows are about {published.data_set} ({theirs[0]} real, {theirs[1]} fake); "
            f"ours are about {counts}: other images, so the two cannot be compared."
        )
    return notes


def _per_cent(fraction: float | None, ci95: Sequence[float] | None = None) -> Cell:
    if fraction is None:
        return Cell(NOT_DEFINED)
    if ci95 is None:
        return Cell(f"{100 * fraction:.2f}")
    low, high = ci95
    return Cell(f"{100 * fraction:.2f}", f"{100 * low:.2f}, {100 * high:.2f}")
