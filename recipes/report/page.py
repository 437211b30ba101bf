"""The page: its sections put into the templates, everything in one file."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from recipes.report.cases import Case
from recipes.report.drawing import Chart
from recipes.report.evaluation import Evaluation
from recipes.report.samples import (
    encode,
    sample_data,
    script_json,
    segments,
    thumbnail_blocks,
)
from recipes.report.tables import Table
from rewards.blocks import split_blocks

TEMPLATES = Path(__file__).parent / "templates"


@dataclass
class Section:
    """One section of the page.

    Attributes:
        id: Its anchor.
        title: Its heading.
        intro: Paragraphs before all else.
        charts: Shown first.
        tables: Shown next, ``tables_a_row`` side by side.
        template: File that shows the rest; none: None.
        missing: What is not there, and how to get it.
        tables_a_row: See ``tables``.
        folded: Whether the tables are to be unfolded.
    """

    id: str
    title: str
    intro: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    template: str | None = None
    missing: list[str] = field(default_factory=list)
    tables_a_row: int = 1
    folded: bool = False


@dataclass(frozen=True)
class Tile:
    """A number at the head of the page."""

    title: str
    value: str
    lines: list[str]


def render(
    runs: Sequence[Evaluation],
    headline: str,
    tiles: Sequence[Tile],
    sections: Sequence[Section],
    cases: Sequence[Case],
    how_made: Sequence[tuple[str, list[tuple[str, str]]]],
    notes: Sequence[str],
) -> str:
    """Return the page. The same input gives the same text."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["segments"] = segments
    environment.filters["thought"] = lambda block: split_blocks(block).inside
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template("report.html").render(
        name=runs[0].name,
        n_runs=len(runs),
        headline=headline,
        tiles=tiles,
        sections=sections,
        cases=cases,
        how_made=how_made,
        notes=notes,
        thumbnails=case_thumbnails(runs, cases),
        sample_data=script_json(sample_data(runs)),
        thumbnail_blocks=[script_json(block) for block in thumbnail_blocks(runs)],
        script=Markup(script),
        script_hash=f"sha256-{digest}",
    )
    # Half a surrogate pair in a text has no UTF-8.
    return page.encode("utf-8", "replace").decode("utf-8")


def case_thumbnails(runs: Sequence[Evaluation], cases: Sequence[Case]) -> dict[str, Any]:
    """Return the thumbnails of the case studies in base64, by image id."""
    known = {k: v for run in reversed(runs) for k, v in run.thumbnails.items()}
    ids = {case.answers[0].prediction.id for case in cases if case.answers}
    return {image_id: encode(known.get(image_id)) for image_id in sorted(ids)}
