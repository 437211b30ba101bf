"""``test``: any of the published test sets, or a user's own images, one row an image."""

import argparse
from pathlib import Path

from data_prep.commands.options import Commands, add_build_options, run_build, sources_of
from data_prep.commands.reader_options import add_reader_options, with_reader_options
from data_prep.sources import READERS

DESCRIPTION = """
Test images, each once; the evaluation asks its own questions. Where the set explains an image, the
row is a reasoning row, whose completion holds the explanation; else it is a direct one. Chameleon's
part of FakeClue is in it, with `source` chameleon.
"""


def add_command(commands: Commands) -> None:
    """Add the command to the command line: an option for every reader."""
    parser = commands.add_parser(
        "test", help="test sets: FakeClue, GenImage's val, others, your own"
    )
    for name in READERS:
        parser.add_argument(f"--{name}", type=Path, nargs="+", metavar="ROOT")
    add_reader_options(parser)
    add_build_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Build the data set."""
    run_build(
        args,
        sources=with_reader_options(args, sources_of(args, list(READERS), "test")),
        title="fake-hr1: test images",
        description=DESCRIPTION,
        split="test",
    )
