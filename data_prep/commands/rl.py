"""``rl``: FakeClue's training rows under both banks, the input of the rejection filter (Sec. 3)."""

import argparse
from pathlib import Path

from data_prep.commands.options import (
    Commands,
    add_audit_options,
    add_build_options,
    run_build,
    sources_of,
)
from data_prep.commands.question_options import add_question_options
from rewards.errors import UserError

DESCRIPTION = """
Rows of reinforcement learning before the rejection filter: FakeClue's training images without
Chameleon. Each image is there once, with a question of the simple or of the hard bank.
"""


def add_command(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("rl", help="reinforcement learning: FakeClue, train, both banks")
    parser.add_argument("--fakeclue", type=Path, nargs="+", metavar="ROOT", help="FakeClue's root")
    parser.add_argument(
        "--hard_share", type=float, default=0.5, help="share of rows with a hard question"
    )
    add_build_options(parser)
    add_audit_options(parser)
    add_question_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Build the data set."""
    if not 0 <= args.hard_share <= 1:
        raise UserError(f"--hard_share is {args.hard_share}; expected a number from 0 to 1.")
    run_build(
        args,
        sources=sources_of(args, ["fakeclue"], "train"),
        title="fake-hr1: reinforcement learning, before the filter",
        description=DESCRIPTION,
        split="train",
        bank_policy="drawn",
        hard_share=args.hard_share,
    )
