"""Table 1 of the page: published rows, ours, constant answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from recipes.report.evaluation import Evaluation
from recipes.report.figures import banks_of
from recipes.report.page import Section
from recipes.report.tables import Cell, Row, Table, count, number, per_cent, text, with_interval
from rewards.labels import LABELS
from rewards.published import WEIGHTED, PublishedRow, published

_COLUMNS = [
    *("Method", "Questions", "Real Acc", "Real F1", "Fake Acc", "Fake F1", "Overall Acc"),
    *("F1, weighted", "F1, real positive", "Thinking", "Tokens", "Unparsed", "n"),
]


def table1_section(runs: Sequence[Evaluation]) -> Section:
    """Return Table 1 with what must be known to read it."""
    theirs = published()
    rows = [_published(row, theirs.n_real + theirs.n_fake) for row in theirs.rows]
    rows += [_ours(run, bank) for run in runs for bank in banks_of(run)]
    constant = runs[0].metrics["constant_answers"]
    rows += [_row(name, None, metrics, None) for name, metrics in constant.items()]
    whole = runs[0].metrics["all"]
    ci95 = whole.get("ci95")
    intervals = (
        f"Intervals are 95 %, by bootstrap over {ci95['n_units']:,} {ci95['unit']}s, "
        f"{ci95['n_bootstrap']:,} rounds."
        if ci95
        else "There are no intervals: the metrics were computed without a bootstrap."
    )
    return Section(
        "table1",
        "Table 1",
        [
            "Per cent, but for tokens. The accuracy of a class is its recall; an answer without a "
            f"verdict is wrong for its class and no prediction of the other. {intervals}",
            "Two F1 are in use and are not comparable: the paper's overall F1 is the mean of both "
            "classes' F1, weighted by their numbers of images; FakeVLM's is binary, with real as "
            "the positive class, and GPT-4o's row in the paper is FakeVLM's. Each published number "
            "stands in the column of its F1.",
            _same_images(runs, theirs.n_real, theirs.n_fake, theirs.data_set),
        ],
        tables=[
            Table(
                "Shaded rows are published; below them, the runs of this report, then what a "
                "constant answer scores on their images",
                _COLUMNS,
                rows,
                n_text=2,
            )
        ],
    )


def _same_images(runs: Sequence[Evaluation], n_real: int, n_fake: int, data_set: str) -> str:
    parts = [run.metrics[bank] for run in runs for bank in banks_of(run)]
    counts = {(part["real"]["n"], part["fake"]["n"]) for part in parts}
    if counts == {(n_real, n_fake)}:
        return f"Published rows are about {data_set}, and so, by their numbers, are ours."
    ours = " and ".join(f"{real:,} real and {fake:,} fake images" for real, fake in sorted(counts))
    return (
        f"Published rows are about {data_set} ({n_real:,} real and {n_fake:,} fake images); ours "
        f"are about {ours}: other images, so the two cannot be compared."
    )


def _ours(run: Evaluation, bank: str) -> Row:
    link = {"run": run.name, "questions": bank}
    return _row(run.name, bank, run.metrics[bank], link)


def _row(
    name: str, bank: str | None, metrics: Mapping[str, Any], link: dict[str, str] | None
) -> Row:
    def of(*keys: str) -> Cell:
        return per_cent(*with_interval(metrics, *keys))

    n_unparsed = metrics["n_unparsed"]
    unparsed = Cell(
        f"{n_unparsed:,}",
        f"{100 * n_unparsed / metrics['n']:.2f} %",
        link={**link, "verdict": "none"} if link and n_unparsed else None,
    )
    return Row(
        [
            text(name),
            text(bank),
            *(of(label, key) for label in LABELS for key in ("accuracy", "f1")),
            *(of(key) for key in ("accuracy", "f1_weighted", "f1_real_positive")),
            of("thinking_rate"),
            number(*with_interval(metrics, "mean_completion_tokens")),
            unparsed,
            count(metrics["n"], link),
        ]
    )


def _published(row: PublishedRow, n: int) -> Row:
    def printed(value: float | None) -> Cell:
        return number(value, digits=2)

    f1 = printed(row.overall["f1"])
    nothing = printed(None)
    return Row(
        [
            Cell(row.method, row.source, number=False),
            text(row.questions),
            *(printed(row.classes[label][key]) for label in LABELS for key in ("accuracy", "f1")),
            printed(row.overall["accuracy"]),
            *((f1, nothing) if row.f1 == WEIGHTED else (nothing, f1)),
            *(nothing, nothing, nothing),
            count(n),
        ],
        published=True,
    )
