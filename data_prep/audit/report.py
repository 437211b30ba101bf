"""The pages of an audit: one self-contained HTML page, a Markdown page with its pictures, JSON."""

import base64
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from data_prep.audit.biases import FEATURES, TOGETHER
from data_prep.audit.corpus import Corpus
from data_prep.audit.findings import LEVELS, Finding
from data_prep.audit.pictures import thumbnails
from rewards.files import write_json, write_text

MAX_TABLE_ROWS = 20
PICTURES_DIR, FIGURES_DIR = "pictures", "figures"


@dataclass(frozen=True)
class Report:
    """What the pages show.

    Attributes:
        corpus: All rows.
        findings: Warnings first.
        numbers: The content of ``audit.json``.
        figures: Name to SVG; None where there is nothing to draw.
    """

    corpus: Corpus
    findings: tuple[Finding, ...]
    numbers: dict[str, Any]
    figures: dict[str, str | None]


def write_report(report: Report, target: Path) -> None:
    """Write ``audit.json``, ``audit.md`` with its pictures and figures, and ``audit.html``.

    Raises:
        OSError: The folder cannot be written.
    """
    for name in (PICTURES_DIR, FIGURES_DIR):
        shutil.rmtree(target / name, ignore_errors=True)
        (target / name).mkdir(parents=True)
    figures = {name: svg for name, svg in report.figures.items() if svg}
    for name, svg in figures.items():
        write_text(target / FIGURES_DIR / f"{name}.svg", svg)
    pictures = _read_pictures(report)
    files = {}
    for row, (data, number) in pictures.items():
        files[row] = f"{PICTURES_DIR}/{number:03d}.webp"
        (target / files[row]).write_bytes(data)
    write_json(target / "audit.json", report.numbers)
    content = {
        "title": report.corpus.folders[0].name,
        "numbers": report.numbers,
        "levels": {level: sum(f.level == level for f in report.findings) for level in LEVELS},
        "bias_table": _bias_table(report.numbers["biases"]),
        "bias_columns": [name.replace("_", " ") for name in (*FEATURES, TOGETHER)],
        "max_rows": MAX_TABLE_ROWS,
    }
    environment = _environment()
    as_files = {name: f"{FIGURES_DIR}/{name}.svg" for name in figures}
    markdown = environment.get_template("report.md.j2").render(
        **content, findings=_shown(report, files), figures=as_files
    )
    write_text(target / "audit.md", markdown)
    embedded = {row: _data_uri("image/webp", data) for row, (data, _) in pictures.items()}
    drawn = {name: _data_uri("image/svg+xml", svg.encode()) for name, svg in figures.items()}
    page = environment.get_template("report.html.j2").render(
        **content, findings=_shown(report, embedded), figures=drawn
    )
    write_text(target / "audit.html", page)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["percent"] = lambda value: f"{100 * value:.1f} %"
    environment.filters["decimal"] = lambda value, digits=2: f"{value:,.{digits}f}"
    environment.filters["md"] = _markdown_text
    return environment


def _markdown_text(text: object) -> str:
    """Return ``text`` so that Markdown shows it as it is, also in a cell of a table."""
    escaped = str(text).replace("\\", "\\\\")
    for character in "`*_{}[]<>#|":
        escaped = escaped.replace(character, "\\" + character)
    return " ".join(escaped.split())


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _read_pictures(report: Report) -> dict[int, tuple[bytes, int]]:
    """Return the thumbnail and a number of each row that an example shows."""
    rows = [row for f in report.findings for example in f.examples for row in example.rows]
    rows = list(dict.fromkeys(rows))
    if not rows:
        return {}
    found = thumbnails(report.corpus.places(np.array(rows, np.int64)))
    return {
        row: (data, number)
        for number, (row, data) in enumerate(zip(rows, found, strict=True))
        if data is not None
    }


def _shown(report: Report, sources: dict[int, str]) -> list[dict[str, Any]]:
    """Return the findings with what stands under each picture; ``sources`` is row to address."""
    return [
        {
            "level": finding.level,
            "title": finding.title,
            "text": finding.text,
            "examples": [
                {
                    "title": example.title,
                    "pictures": [
                        {"source": sources.get(row), **_caption(report.corpus, row)}
                        for row in example.rows
                    ],
                }
                for example in finding.examples
            ],
        }
        for finding in report.findings
    ]


def _caption(corpus: Corpus, row: int) -> dict[str, str]:
    names = ("id", "label", "format", "width", "height", "n_bytes", "jpeg_quality")
    value = {name: corpus.table[name][row].as_py() for name in names}
    quality = f" q{value['jpeg_quality']}" if value["jpeg_quality"] is not None else ""
    return {
        "id": value["id"],
        "label": value["label"],
        "part": corpus.parts[corpus.part_number[row]],
        "file": f"{value['format']}{quality}, {value['width']} x {value['height']}, "
        f"{(value['n_bytes'] or 0) / 1000:,.1f} kB",
    }


def _bias_table(biases: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one line a source: all sources first, then by the highest AUC."""
    lines: dict[str, dict[str, Any]] = {}
    for entry in biases["auc"]:
        line = lines.setdefault(entry["source"], {"source": entry["source"], "cells": []})
        line["cells"].append(entry)
    first, others = list(lines.values())[:1], list(lines.values())[1:]
    others.sort(key=lambda line: (-max(c["auc"] for c in line["cells"]), line["source"]))
    return first + others
