"""The paper's Table 1 as Markdown, with what it leaves out: intervals, thinking, tokens, unparsed."""

from collections.abc import Mapping, Sequence
from typing import Any

from rewards.answer_format import QUESTION_BANKS
from rewards.metrics import Judged, compute_metrics, constant_verdicts

HEADER = (
    "| Method | Questions | Real Acc | Real F1 | Fake Acc | Fake F1 | Overall Acc | Overall F1 "
    "| Thinking | Tokens | Unparsed | n |"
)
RULE = "|---|---|" + "---:|" * 10


def table1(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return Table 1: a line for each method and question bank.

    Args:
        rows: Name of the method and its metrics as ``compute_metrics`` returns them.

    Returns:
        Markdown; per cent, 95 % intervals in brackets, overall F1 weighted by support as in the paper.
    """
    lines = [HEADER, RULE]
    for name, metrics in rows:
        lines += [_line(name, bank, metrics[bank]) for bank in QUESTION_BANKS if bank in metrics]
    return "\n".join(lines) + "\n"


def constant_rows(judged: Judged) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the rows of the two constant answers, on one bank's questions."""
    first = judged.select(judged.bank == judged.bank[0])
    return [
        (f"always {name}", compute_metrics(constant, n_bootstrap=0))
        for name, constant in constant_verdicts(first).items()
    ]


def _line(name: str, bank: str, metrics: Mapping[str, Any]) -> str:
    ci95 = metrics.get("ci95", {})
    constant = name.startswith("always ")
    cells = [name, "either" if constant else bank]
    for label in ("real", "fake"):
        cells += [
            _per_cent(metrics[label][key], (ci95.get(label) or {}).get(key))
            for key in ("accuracy", "f1")
        ]
    cells += [_per_cent(metrics[key], ci95.get(key)) for key in ("accuracy", "f1_weighted")]
    if constant:
        cells += ["", ""]
    else:
        cells += [_per_cent(metrics["thinking_rate"]), f"{metrics['mean_completion_tokens']:.1f}"]
    cells += [str(metrics["n_unparsed"]), str(metrics["n"])]
    return "| " + " | ".join(cells) + " |"


def _per_cent(value: float | None, interval: Sequence[float] | None = None) -> str:
    if value is None:
        return "-"
    text = f"{100 * value:.2f}"
    if interval is not None:
        text += f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"
    return text
