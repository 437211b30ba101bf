"""Figures and one self-contained HTML page from an evaluation folder: ``make report RUN=folder``.

    make report RUN=runs/demo/eval/rl RUNS="runs/demo/eval/base runs/demo/eval/sft"

Needs no model and no network.
"""

import argparse
from pathlib import Path

from recipes.report.write import write_report
from rewards.errors import run_cli


def main() -> None:
    """Write the report and say where it is."""
    parser = argparse.ArgumentParser(prog="python -m recipes.report", description=__doc__)
    parser.add_argument("run", type=Path, help="evaluation folder; gets report.html and figures/")
    parser.add_argument("others", type=Path, nargs="*", help="evaluation folders put beside it")
    args = parser.parse_args()
    page = write_report(args.run, args.others)
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB; open it in any browser")


if __name__ == "__main__":
    run_cli(main)
