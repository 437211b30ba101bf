"""Runs against each other on the same questions: ``make compare RUNS="a b …" OUT=folder``.

Each run is an evaluation folder (or a predictions file), ``name=path`` to name it. For each pair
and bank: McNemar's test, the paired bootstrap of the differences, and a file with the images on
which the two disagree. Writes ``comparison.json``, ``comparison.md`` and
``differing/<a>-<b>.jsonl``.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from rewards.errors import UserError, run_cli
from rewards.files import write_json, write_text
from rewards.judged import BOOTSTRAP_UNITS, Judged, choose_unit, judge
from rewards.labels import ALL_BANKS, LABELS
from rewards.metrics import compute_metrics
from rewards.paired_test import compare_pair, holm
from rewards.pairing import check_same_questions, common_rows
from rewards.pareto import mark_front, points_of
from rewards.records import Prediction, read_predictions

_TEMPLATES = Path(__file__).with_name("templates")


def main() -> None:
    args = parse_arguments()
    runs = read_runs(args.runs)
    comparison, differing = compare_runs(
        runs, args.n_bootstrap, args.seed, args.bootstrap_unit, args.common
    )
    text = render(comparison)
    try:
        for pair, records in differing.items():
            lines = "".join(json.dumps(record) + "\n" for record in records)
            write_text(args.output_dir / "differing" / f"{pair}.jsonl", lines)
        write_text(args.output_dir / "comparison.md", text)
        write_json(args.output_dir / "comparison.json", comparison)
    except OSError as error:
        raise UserError(
            f"cannot write into {args.output_dir} ({error.strerror}); set --output_dir to a folder "
            "that can be made or written."
        ) from error
    print(text, end="")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m rewards.compare", description=__doc__)
    parser.add_argument("runs", nargs="+", help="evaluation folders, or name=folder")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--n_bootstrap", type=int, default=1000, help="rounds of the bootstrap")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    parser.add_argument(
        "--bootstrap_unit",
        choices=BOOTSTRAP_UNITS,
        help="what the bootstrap draws (default: source if every line has one, else id)",
    )
    parser.add_argument(
        "--common", action="store_true", help="compare on the questions that all runs answer"
    )
    return parser.parse_args()


def read_runs(arguments: Sequence[str]) -> dict[str, list[Prediction]]:
    """Return the predictions of each run under its name, by default its folder's.

    Raises:
        UserError: There are fewer than two, a name stands twice, or a file is bad.
    """
    if len(arguments) < 2:
        raise UserError(f"there is nothing to compare {list(arguments)} with; give two runs.")
    paths: dict[str, Path] = {}
    for argument in arguments:
        name, found, rest = argument.partition("=")
        path = Path(rest if found else argument)
        if not found:
            name = (path if path.is_dir() else path.parent).resolve().name
        if name in paths:
            raise UserError(
                f"two runs are named {name!r} ({paths[name]} and {path}); name them: "
                f"first={paths[name]} second={path}"
            )
        paths[name] = path / "predictions.jsonl" if path.is_dir() else path
    return {name: read_predictions(path) for name, path in paths.items()}


def compare_runs(
    runs: Mapping[str, Sequence[Prediction]],
    n_bootstrap: int = 1000,
    seed: int = 0,
    bootstrap_unit: str | None = None,
    common: bool = False,
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Compare each pair of runs.

    Args:
        runs: Name -> predictions.
        n_bootstrap: Rounds of the bootstrap.
        seed: Seed of the bootstrap.
        bootstrap_unit: See ``rewards.judged.choose_unit``; by the first run.
        common: Compare on the questions that every run answers; else all must answer the same.

    Returns:
        Content of ``comparison.json``, and for each pair the records of the questions on which the
        verdicts differ.

    Raises:
        UserError: The runs do not answer the same questions, or disagree on a label.
    """
    names = list(runs)
    unit = choose_unit(runs[names[0]], bootstrap_unit)
    judged = [judge(runs[name], unit) for name in names]
    if not common:
        for name, other in zip(names[1:], judged[1:], strict=True):
            check_same_questions(judged[0], other, (names[0], name))
    rows, counts = common_rows(judged)
    judged = [part.select(chosen) for part, chosen in zip(judged, rows, strict=True)]
    answers = {
        name: [runs[name][i] for i in chosen] for name, chosen in zip(names, rows, strict=True)
    }
    metrics = {
        name: compute_metrics(part, n_bootstrap, seed)
        for name, part in zip(names, judged, strict=True)
    }
    pairs, differing = [], {}
    for (a, first), (b, second) in combinations(zip(names, judged, strict=True), 2):
        pairs.append({"a": a, "b": b, "banks": _by_bank(first, second, n_bootstrap, seed)})
        differing[f"{a}-{b}"] = _differing(answers[a], answers[b], first, second)
    _correct(pairs)
    points = [point for name in names for point in points_of(name, metrics[name], ALL_BANKS)]
    comparison = {
        "runs": names,
        "n_common": counts.n_common,
        "n_left_out": dict(zip(names, counts.n_left_out, strict=True)),
        "unit": unit,
        "n_bootstrap": n_bootstrap,
        "seed": seed,
        "metrics": metrics,
        "pairs": pairs,
        "pareto": mark_front(points),
    }
    return comparison, differing


def render(comparison: Mapping[str, Any]) -> str:
    """Return ``comparison.md``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=False, keep_trailing_newline=True
    )
    environment.filters["points"] = _points
    environment.filters["p"] = _p_value
    return environment.get_template("comparison.md.jinja").render(**comparison)


def _by_bank(first: Judged, second: Judged, n_bootstrap: int, seed: int) -> dict[str, Any]:
    parts = {"all": np.ones(len(first.label), dtype=bool)}
    parts |= {bank: first.question_bank == bank for bank in ALL_BANKS}
    return {
        bank: compare_pair(first.select(rows), second.select(rows), n_bootstrap, seed)
        for bank, rows in parts.items()
        if rows.any()
    }


def _correct(pairs: Sequence[dict[str, Any]]) -> None:
    """Add Holm's p-values: over all pairs, within each bank."""
    for bank in pairs[0]["banks"]:
        tests = [pair["banks"][bank]["mcnemar"] for pair in pairs]
        for test, corrected in zip(tests, holm([t["p"] for t in tests]), strict=True):
            test["p_holm"] = corrected


def _differing(
    ours: Sequence[Prediction], theirs: Sequence[Prediction], first: Judged, second: Judged
) -> list[dict[str, Any]]:
    verdicts = (*LABELS, None)
    return [
        {
            "id": ours[i].id,
            "question_bank": ours[i].question_bank,
            "label": ours[i].label,
            "a_verdict": verdicts[first.verdict[i]],
            "b_verdict": verdicts[second.verdict[i]],
            "right": "a" if first.verdict[i] == first.label[i] else _right(second, i),
            "a_completion": ours[i].completion,
            "b_completion": theirs[i].completion,
        }
        for i in np.flatnonzero(first.verdict != second.verdict)
    ]


def _right(second: Judged, row: int) -> str:
    return "b" if second.verdict[row] == second.label[row] else "neither"


def _points(estimate: Mapping[str, Any], factor: float = 100.0, digits: int = 1) -> str:
    if estimate["value"] is None:
        return "–"  # noqa: RUF001
    text = f"{factor * estimate['value']:+.{digits}f}"
    if estimate["ci95"] is None:
        return text
    low, high = (factor * value for value in estimate["ci95"])
    return f"{text} [{low:+.{digits}f}, {high:+.{digits}f}]"


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


if __name__ == "__main__":
    run_cli(main)
