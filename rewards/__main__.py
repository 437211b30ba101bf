"""Metrics from predictions, without a model: ``make score PREDICTIONS=file OUT=folder``.

Writes ``metrics.json``, ``table1.md`` and ``table1.tex`` and prints the table. PREDICTIONS may be
an evaluation folder; then its forced modes, samples and changed images count too.
"""

import argparse
from pathlib import Path

from rewards.errors import run_cli
from rewards.judged import BOOTSTRAP_UNITS
from rewards.labels import ALL_BANKS
from rewards.summary import SummarySettings, summarise_folder


def main() -> None:
    args = vars(parse_arguments())
    predictions, output_dir = args.pop("predictions"), args.pop("output_dir")
    summarise_folder(predictions, SummarySettings(**args), output_dir)
    print((output_dir / "table1.md").read_text(encoding="utf-8"), end="")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m rewards", description=__doc__)
    parser.add_argument("predictions", help="predictions.jsonl of an evaluation, or its folder")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--name", default="predictions", help="of the method, in the table")
    parser.add_argument(
        "--n_bootstrap", type=int, default=1000, help="rounds of the bootstrap (0: no intervals)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    parser.add_argument(
        "--bootstrap_unit",
        choices=BOOTSTRAP_UNITS,
        help="what the bootstrap draws (default: source if every line has one, else id)",
    )
    parser.add_argument(
        "--required_banks", nargs="+", default=(), choices=ALL_BANKS, help="fail without these"
    )
    parser.add_argument(
        "--max_completion_length", type=int, help="of the generation: counts clipped completions"
    )
    parser.add_argument(
        "--embedding_model", help="folder of a text model: similarity of the explanations"
    )
    parser.add_argument(
        "--pass_rates", help="pass_rates.jsonl of make filter (default: the folder's, its samples)"
    )
    parser.add_argument(
        "--no_published",
        dest="with_published",
        action="store_false",
        help="leave published rows out of the tables",
    )
    return parser.parse_args()


if __name__ == "__main__":
    run_cli(main)
