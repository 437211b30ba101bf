"""Accuracy by what an image is, and by what was done to it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recipes.report import estimates
from recipes.report.drawing import draw
from recipes.report.evaluation import Evaluation
from recipes.report.figures import banks_of
from recipes.report.page import Section
from recipes.report.tables import (
    Row,
    Table,
    count,
    estimated,
    number,
    per_cent,
    text,
    with_interval,
)

_DIMENSIONS = {
    "source": "source",
    "generator": "generator",
    "category": "category",
    "image_size": "image size (longer side)",
    "pass_rate": "pass rate (right samples)",
    "chameleon": "Chameleon",
}
# What the browser of samples can filter by.
_FILTERS = ("source", "generator", "category", "label")


def breakdown_section(runs: Sequence[Evaluation], folder: Path) -> Section:
    """Return accuracy by source, generator, category, image size, with and without Chameleon."""
    run = runs[0]
    section = Section("breakdowns", "Breakdowns", [f"Of {run.name}."], folded=True)
    for dimension, name in _DIMENSIONS.items():
        banks = groups_of(run, dimension)
        if not banks:
            continue
        section.charts.append(
            draw(
                f"accuracy_by_{dimension}",
                f"Accuracy by {name} and question bank, with 95 % intervals where a group has more "
                f"than one {run.metrics['run']['unit']} to draw"
                + (f"; the {estimates.MOST_GROUPS} largest groups." if _many(banks) else "."),
                in_words(banks, "accuracy", "accuracy"),
                folder,
                estimates.by_group,
                banks,
                "accuracy",
                "accuracy",
            )
        )
        section.tables.append(_breakdown_table(run, banks, dimension, name))
    if not section.tables:
        section.missing.append(
            "The predictions name no source, generator, category or size; data sets built by "
            "data_prep do."
        )
    return section


def groups_of(run: Evaluation, dimension: str) -> dict[str, dict[str, Any]]:
    """Return bank -> group -> metrics of a dimension; empty where no answer has it."""
    found = {
        bank: run.metrics[bank]["breakdowns"].get(dimension, {}).get("groups")
        for bank in banks_of(run)
    }
    return {bank: groups for bank, groups in found.items() if groups}


def in_words(banks: Mapping[str, Mapping[str, Any]], key: str, label: str) -> str:
    """Return a figure in words, for those who cannot see it."""
    parts = []
    for bank, groups in banks.items():
        known = {g: m[key] for g, m in groups.items() if m[key] is not None}
        if known:
            low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
            parts.append(
                f"{bank} questions: from {100 * known[low]:.1f} % ({low}) to "
                f"{100 * known[high]:.1f} % ({high})"
            )
    return f"{label} by group. {'; '.join(parts)}."


def _many(banks: Mapping[str, Mapping[str, Any]]) -> bool:
    return any(len(groups) > estimates.MOST_GROUPS for groups in banks.values())


def _breakdown_table(
    run: Evaluation, banks: Mapping[str, Mapping[str, Any]], dimension: str, name: str
) -> Table:
    rows = []
    for group in dict.fromkeys(g for groups in banks.values() for g in groups):
        for bank, groups in banks.items():
            if group not in groups:
                continue
            metrics = groups[group]
            link = {"run": run.name, "questions": bank, dimension: group}
            rows.append(
                Row(
                    [
                        text(group),
                        text(bank),
                        *(
                            per_cent(*with_interval(metrics, *keys))
                            for keys in (("accuracy",), ("real", "accuracy"), ("fake", "accuracy"))
                        ),
                        per_cent(*with_interval(metrics, "f1_weighted")),
                        per_cent(metrics["auroc"]),
                        per_cent(*with_interval(metrics, "thinking_rate")),
                        number(metrics["mean_completion_tokens"]),
                        count(metrics["n_unparsed"]),
                        count(metrics["n"], link if dimension in _FILTERS else None),
                    ]
                )
            )
    columns = [
        *(name[0].upper() + name[1:], "Questions", "Acc", "Real Acc", "Fake Acc", "F1, weighted"),
        *("AUROC", "Thinking", "Tokens", "Unparsed", "n"),
    ]
    return Table(f"By {name}", columns, rows, n_text=2)


def robustness_section(runs: Sequence[Evaluation], folder: Path) -> Section:
    """Return what changes of the images cost."""
    run = runs[0]
    section = Section("robustness", "Robustness", folded=True)
    variants = run.metrics["robustness"]
    if not variants:
        section.missing.append(
            "No changed images were evaluated: `make eval` with `--robustness true` asks about "
            "them after JPEG, WebP, resizing, cropping, blur, noise and a screenshot's re-encoding."
        )
        return section
    asked = {bank for banks in variants.values() for bank in banks}
    unchanged = {bank: run.metrics[bank]["accuracy"] for bank in banks_of(run) if bank in asked}
    worst = min(((m["accuracy"], v, b) for v, banks in variants.items() for b, m in banks.items()))
    n = max(m["n"] for banks in variants.values() for m in banks.values())
    section.charts.append(
        draw(
            "robustness",
            f"Accuracy of {run.name} on changed images with 95 % intervals; dotted: the images as "
            f"they are. n = {n:,} images a point.",
            f"Accuracy by change and strength; lowest {100 * worst[0]:.1f} % under {worst[1]}, "
            f"{worst[2]} questions.",
            folder,
            estimates.robustness,
            variants,
            unchanged,
        )
    )
    rows = [
        Row(
            [
                text(variant),
                text(bank),
                per_cent(*with_interval(metrics, "accuracy")),
                *(
                    estimated(metrics["difference"][key])
                    for key in ("accuracy", "real_accuracy", "fake_accuracy", "auroc")
                ),
                estimated(metrics["difference"]["thinking_rate"]),
                count(metrics["n"]),
            ]
        )
        for variant, banks in variants.items()
        for bank, metrics in banks.items()
    ]
    columns = [
        *("Change", "Questions", "Acc", "Acc, change", "Real Acc, change", "Fake Acc, change"),
        *("AUROC, change", "Thinking, change", "n"),
    ]
    caption = "Changed minus unchanged images, paired (points)"
    section.tables.append(Table(caption, columns, rows, n_text=2))
    return section
