"""``sft``: GenImage as direct rows and FakeClue as reasoning rows (Fake-HR1, Sec. 3)."""

import argparse
from pathlib import Path

from data_prep.commands.options import (
    Commands,
    add_audit_options,
    add_build_options,
    add_flag,
    run_build,
    sources_of,
)
from data_prep.commands.question_options import add_question_options
from rewards.errors import UserError

DESCRIPTION = """
Rows of hybrid fine-tuning. GenImage gives direct rows: a question of the simple bank, answered
`<think></think>LABEL`. FakeClue without Chameleon gives reasoning rows: a question of the hard
bank, answered with the set's explanation in the think block, without its verdict sentence.
"""


def add_command(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("sft", help="hybrid fine-tuning: FakeClue and GenImage, train")
    parser.add_argument("--fakeclue", type=Path, nargs="+", metavar="ROOT", help="FakeClue's root")
    parser.add_argument("--genimage", type=Path, nargs="+", metavar="ROOT", help="GenImage's root")
    parser.add_argument(
        "--genimage_samples",
        type=int,
        metavar="N",
        help="a sample balanced by generator, label and content (default: all)",
    )
    add_flag(parser, "unbiased", "GenImage with the same JPEG quality and sizes for both labels")
    add_build_options(parser)
    add_audit_options(parser)
    add_question_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Build the data set."""
    if args.unbiased and args.image_storage == "path":
        raise UserError("--unbiased writes new images; it needs --image_storage embed.")
    if (args.unbiased or args.genimage_samples) and not args.genimage:
        raise UserError("--unbiased and --genimage_samples are for GenImage; give --genimage ROOT.")
    if args.genimage_samples is not None and args.genimage_samples < 1:
        raise UserError(f"--genimage_samples is {args.genimage_samples}; expected at least 1.")
    run_build(
        args,
        sources=sources_of(args, ["fakeclue", "genimage"], "train"),
        title="fake-hr1: hybrid fine-tuning",
        description=DESCRIPTION,
        split="train",
        unbiased=args.unbiased,
        n_genimage=args.genimage_samples,
    )
