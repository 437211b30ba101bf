"""What p(fake), explanations and several samples say."""

from collections.abc import Sequence
from pathlib import Path

from recipes.report import estimates, figures
from recipes.report.drawing import draw
from recipes.report.evaluation import Evaluation
from recipes.report.figures import banks_of
from recipes.report.page import Section
from recipes.report.tables import (
    Cell,
    Row,
    Table,
    count,
    estimated,
    number,
    per_cent,
    text,
    with_interval,
)
from rewards.labels import ALL_BANKS

_NO_SCORES = (
    "No answer has p(fake): evaluate with an engine or endpoint that gives log-probabilities of "
    "the verdict token (`make eval` with vLLM does)."
)


def score_section(runs: Sequence[Evaluation], folder: Path) -> Section:
    """Return what p(fake) says without a threshold: ranking and calibration."""
    section = Section(
        "scores",
        "Scores without a threshold",
        ["p(fake) is the probability of “fake” against “real” at the verdict token."],
    )
    scored = [run for run in runs if figures.has_scores(run)]
    if not scored:
        section.missing.append(_NO_SCORES)
        return section
    section.tables.append(_score_table(scored))
    n = scored[0].metrics["all"]["p_fake"]["n"]
    section.charts += [
        draw(
            "roc",
            f"ROC curves; fake is the positive class. n = {n:,} answers of {scored[0].name}.",
            "ROC curves, whose areas stand in the table below.",
            folder,
            figures.roc,
            scored,
        ),
        draw(
            "reliability",
            f"Reliability of {scored[0].name}: the share of fakes among answers of like p(fake), "
            f"with Wilson's 95 % intervals, and below it how many answers there are. n = {n:,}.",
            "Share of fakes against p(fake); on the diagonal the two agree.",
            folder,
            figures.reliability,
            scored[0],
        ),
    ]
    return section


def _score_table(runs: Sequence[Evaluation]) -> Table:
    keys = ("auroc", "average_precision", "recall_at_1%", "recall_at_5%")
    rows = []
    for run in runs:
        for bank in banks_of(run):
            scores = run.metrics[bank]["p_fake"]
            if scores is None:
                continue
            cells = [per_cent(*with_interval(scores, key)) for key in keys]
            errors = [number(*with_interval(scores, key), digits=4) for key in ("ece", "brier")]
            rows.append(Row([text(run.name), text(bank), *cells, *errors, count(scores["n"])]))
    columns = [
        *("Run", "Questions", "AUROC", "Average precision", "Fakes found at 1 % false alarms"),
        *("at 5 %", "Calibration error", "Brier score", "n"),
    ]
    return Table("Ranking (per cent) and calibration", columns, rows, n_text=2)


def explanation_section(runs: Sequence[Evaluation]) -> Section:
    """Return whether reasoning agrees with its verdict and with the data set's explanations."""
    rows = []
    for run in runs:
        for bank in banks_of(run):
            agreement = run.metrics[bank]["consistency"]
            likeness = run.metrics[bank]["explanations"] or {}
            rows.append(
                Row(
                    [
                        text(run.name),
                        text(bank),
                        count(agreement["n_reasoned"]),
                        per_cent(agreement["agreement"]),
                        count(agreement["n_disagree"]),
                        count(agreement["n_no_conclusion"]),
                        estimated(likeness.get("rouge_l"), factor=1, digits=3),
                        estimated(likeness.get("embedding"), factor=1, digits=3),
                        count(likeness.get("n")),
                    ]
                )
            )
    columns = [
        *("Run", "Questions", "n reasoned", "Verdict agrees, %", "Disagree", "No conclusion"),
        *("ROUGE-L", "Embedding", "n with reference"),
    ]
    caption = (
        "Does the verdict agree with the reasoning's own conclusion, and is the reasoning like the "
        "data set's explanation"
    )
    section = Section(
        "explanations", "Explanations", tables=[Table(caption, columns, rows, n_text=2)]
    )
    if not any(run.metrics["all"]["explanations"] for run in runs):
        section.missing.append("No image has an explanation in its data set to compare with.")
    elif not any((run.metrics["all"]["explanations"] or {}).get("embedding") for run in runs):
        section.missing.append(
            "Embedding similarity: give a local text model (`--embedding_model FOLDER`)."
        )
    return section


def sampling_section(runs: Sequence[Evaluation], folder: Path) -> Section:
    """Return pass rate, majority vote and agreement of several samples."""
    section = Section("sampling", "Several samples")
    sampled = [run for run in runs if run.metrics["samples"]]
    if not sampled:
        section.missing.append("One greedy answer a question: `--num_samples 8` samples more.")
        return section
    rows = []
    for run in sampled:
        for bank in (b for b in ALL_BANKS if b in run.metrics["samples"]):
            of = run.metrics["samples"][bank]
            low, high = of["samples_per_row"]
            rows.append(
                Row(
                    [
                        text(run.name),
                        text(bank),
                        Cell(f"{low}" if low == high else f"{low} to {high}"),
                        *(estimated(of[key]) for key in ("pass_rate", "majority", "agreement")),
                        number(of["fleiss_kappa"], digits=3),
                        estimated(of["thinking_rate"]),
                        number(of["mean_completion_tokens"]),
                        count(of["n"]),
                    ]
                )
            )
    columns = [
        *("Run", "Questions", "Samples", "Pass rate", "Majority", "Agreement", "Fleiss' kappa"),
        *("Thinking", "Tokens", "n"),
    ]
    section.tables.append(Table("Sampled answers", columns, rows, n_text=2))
    samples = sampled[0].metrics["samples"]
    counts = {b: samples[b]["n_by_right_answers"] for b in ALL_BANKS if b in samples}
    if counts and all(counts.values()):
        section.charts.append(
            draw(
                "right_answers",
                f"Images of {sampled[0].name} by the number of right samples.",
                "Bars by question bank; the counts are those of metrics.json, samples.",
                folder,
                estimates.right_answers,
                counts,
            )
        )
    return section
