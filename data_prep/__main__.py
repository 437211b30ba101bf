"""Command line of data preparation: ``python -m data_prep demo --output_dir data/demo``."""

import argparse
from pathlib import Path

from datasets import disable_progress_bars

from data_prep.audit.command import add_command as add_audit
from data_prep.embedded import demo_datasets
from data_prep.prompts import load_prompts
from data_prep.writer import write_datasets
from rewards.errors import run_cli

DEMO_DESCRIPTION = """
Crops of free photographs (real) and their re-synthesis by Real-ESRGAN networks (fake), from the
project's embedded set; photographs, authors and licences (CC0, CC BY, CC BY-SA, GPL-2+, LGPL-3) are
in `data_prep/embedded/photographs.csv`. No photograph is in two of train, validation and test.
`source` is the photograph. Explanations state measured statistics of the very image.
"""


def build_demo(args: argparse.Namespace) -> None:
    """Write the demo's data sets into ``<output_dir>/{sft,rl,test}``."""
    output_dir = Path(args.output_dir)
    print(f"Writing the embedded set to {output_dir}/{{sft,rl,test}} …")
    for name, splits in demo_datasets(load_prompts(args.prompts_file), args.seed).items():
        write_datasets(
            splits,
            output_dir / name,
            title=f"fake-hr1 demo: {name}",
            description=DEMO_DESCRIPTION,
            command=f"python -m data_prep demo --output_dir {output_dir} --seed {args.seed}",
        )
        counts = ", ".join(f"{split} {len(rows)}" for split, rows in splits.items())
        print(f"  {output_dir / name}: {counts} rows")


def main() -> None:
    """Parse the command line and run the chosen build."""
    parser = argparse.ArgumentParser(prog="python -m data_prep", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="the embedded image set, for the demo and the tests")
    demo.add_argument("--output_dir", required=True, help="gets the folders sft, rl and test")
    demo.add_argument(
        "--prompts_file", help="system prompt and question banks (default: the paper's)"
    )
    demo.add_argument("--seed", type=int, default=0, help="decides banks and questions")
    demo.set_defaults(run=build_demo)
    add_audit(commands)
    args = parser.parse_args()
    disable_progress_bars()
    args.run(args)


if __name__ == "__main__":
    run_cli(main)
