"""The first run against the others on the same questions."""

from collections.abc import Mapping, Sequence
from typing import Any

from recipes.report.evaluation import Evaluation
from recipes.report.page import Section
from recipes.report.tables import Cell, Row, Table, count, estimated, text
from rewards.compare import compare_runs
from rewards.errors import UserError
from rewards.labels import ALL_BANKS

_COLUMNS = [
    *("Against", "Questions", "Acc", "F1, weighted", "Real Acc", "Fake Acc", "AUROC", "Thinking"),
    *("Tokens", "Right: this alone", "Right: other alone", "McNemar p", "Holm p", "n"),
]


def compared_section(runs: Sequence[Evaluation]) -> Section:
    """Return paired differences and McNemar's test of the first run against each other one."""
    own = runs[0]
    section = Section(
        "compared",
        "Runs compared",
        [
            f"{own.name} minus the other run, on the questions that all runs answer: points "
            "(tokens in tokens) with 95 % intervals of the paired bootstrap. McNemar's test takes "
            "questions for independent; where several images are of one photograph, trust the "
            "intervals. Holm's p accounts for the number of tests."
        ],
    )
    about = own.metrics["run"]
    # A pair's differences are its second run's minus its first's: this run comes last.
    predictions = {run.name: run.predictions for run in (*runs[1:], own)}
    try:
        comparison, _ = compare_runs(
            predictions, about["n_bootstrap"], about["seed"], about["unit"], common=True
        )
    except UserError as error:
        section.missing.append(f"The runs cannot be compared: {error}")
        return section
    pairs = [pair for pair in comparison["pairs"] if pair["b"] == own.name]
    rows = [
        _row(pair["a"], bank, pair["banks"][bank])
        for pair in pairs
        for bank in ALL_BANKS
        if bank in pair["banks"]
    ]
    section.tables.append(Table(f"{own.name} minus each other run", _COLUMNS, rows, n_text=2))
    return section


def _row(other: str, bank: str, part: Mapping[str, Any]) -> Row:
    differences, test = part["differences"], part["mcnemar"]
    points = ("accuracy", "f1_weighted", "real_accuracy", "fake_accuracy", "auroc", "thinking_rate")
    return Row(
        [
            text(other),
            text(bank),
            *(estimated(differences.get(key)) for key in points),
            estimated(differences["mean_completion_tokens"], factor=1, digits=1),
            count(test["b_alone"]),
            count(test["a_alone"]),
            Cell(_p(test["p"])),
            Cell(_p(test.get("p_holm"))),
            count(part["n"]),
        ]
    )


def _p(value: float | None) -> str:
    if value is None:
        return "–"  # noqa: RUF001
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"
