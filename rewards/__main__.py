"""Metrics from a predictions file: ``python -m rewards PREDICTIONS --output_dir DIR``."""

import argparse
from pathlib import Path

from rewards.errors import run_cli
from rewards.files import write_json, write_text
from rewards.metrics import compute_metrics, judge
from rewards.records import read_predictions
from rewards.table import constant_rows, table1


def main() -> None:
    """Write ``metrics.json`` and ``table1.md`` and print the table."""
    parser = argparse.ArgumentParser(prog="python -m rewards", description=__doc__)
    parser.add_argument("predictions", help="predictions.jsonl of an evaluation")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--n_bootstrap", type=int, default=1000, help="0: no intervals")
    parser.add_argument("--bootstrap_unit", choices=("source", "id"), default="source")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    args = parser.parse_args()
    predictions = read_predictions(args.predictions)
    print(f"{len(predictions)} predictions, {args.n_bootstrap} bootstrap rounds …")
    judged = judge(predictions, args.bootstrap_unit)
    metrics = compute_metrics(judged, args.n_bootstrap, args.seed)
    table = table1([("model", metrics), *constant_rows(judged)])
    write_json(args.output_dir / "metrics.json", metrics)
    write_text(args.output_dir / "table1.md", table)
    print(table)


if __name__ == "__main__":
    run_cli(main)
