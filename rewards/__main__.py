"""Metrics from a predictions file, without a model: ``make score PREDICTIONS=file OUT=folder``.

Writes ``metrics.json`` and ``table1.md`` and prints the table.
"""

import argparse
from pathlib import Path

from rewards.errors import UserError, run_cli
from rewards.files import write_json, write_text
from rewards.judged import BOOTSTRAP_UNITS, judge
from rewards.metrics import compute_metrics
from rewards.records import read_predictions
from rewards.table import constant_rows, table1


def main() -> None:
    args = parse_arguments()
    predictions = read_predictions(args.predictions)
    judged = judge(predictions, args.bootstrap_unit)
    metrics = compute_metrics(judged, args.n_bootstrap, args.seed)
    table = table1([("predictions", metrics), *constant_rows(judged)])
    try:
        write_json(args.output_dir / "metrics.json", metrics)
        write_text(args.output_dir / "table1.md", table)
    except OSError as error:
        raise UserError(
            f"cannot write into {args.output_dir} ({error.strerror}); set --output_dir to a folder "
            "that can be made or written."
        ) from error
    print(table, end="")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m rewards", description=__doc__)
    parser.add_argument("predictions", help="predictions.jsonl of an evaluation")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument(
        "--n_bootstrap", type=int, default=1000, help="rounds of the bootstrap (0: no intervals)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    parser.add_argument(
        "--bootstrap_unit",
        choices=BOOTSTRAP_UNITS,
        help="what the bootstrap draws (default: source if every line has one, else id)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    run_cli(main)
