"""``demo``: the embedded image set as the demo's three data sets."""

import argparse
from pathlib import Path

from data_prep.commands.options import Commands

DESCRIPTION = """
Crops of free photographs (real) and their re-synthesis by Real-ESRGAN networks (fake), from the
project's embedded set; photographs, authors and licences (CC0, CC BY, CC BY-SA, GPL-2+, LGPL-3) are
in `data_prep/embedded/photographs.csv`. No photograph is in two of train, validation and test.
`source` is the photograph. Explanations state measured statistics of the very image.
"""


def add_command(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("demo", help="the embedded image set, for the demo and the tests")
    parser.add_argument("--output_dir", required=True, help="gets the folders sft, rl and test")
    parser.add_argument(
        "--prompts_file", help="system prompt and question banks (default: the paper's)"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides banks and questions")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Write the demo's data sets into ``<output_dir>/{sft,rl,test}``."""
    from datasets import disable_progress_bars

    from data_prep.embedded import demo_datasets
    from data_prep.prompts import load_prompts
    from data_prep.writer import write_datasets

    disable_progress_bars()
    output_dir = Path(args.output_dir)
    print(f"Writing the embedded set to {output_dir}/{{sft,rl,test}} …")
    for name, splits in demo_datasets(load_prompts(args.prompts_file), args.seed).items():
        write_datasets(
            splits,
            output_dir / name,
            title=f"fake-hr1 demo: {name}",
            description=DESCRIPTION,
            command=f"python -m data_prep demo --output_dir {output_dir} --seed {args.seed}",
        )
        counts = ", ".join(f"{split} {len(rows)}" for split, rows in splits.items())
        print(f"  {output_dir / name}: {counts} rows")
