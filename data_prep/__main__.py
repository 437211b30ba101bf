"""Command line of data preparation.

    python -m data_prep demo --output_dir data/demo
    python -m data_prep sft --fakeclue ROOT --genimage ROOT --output_dir data/sft
    python -m data_prep rl --fakeclue ROOT --output_dir data/rl
    python -m data_prep test --fakeclue ROOT --output_dir data/test
    python -m data_prep audit data/sft --against data/test
    python -m data_prep questions --bank hard --questions_from MODEL --num 50 --output_file F
    python -m data_prep all --config recipes/configs/fake_hr1_7b/data.yaml

Options may stand in a YAML file (``--config``); those of the command line go over them.
"""

import argparse
import sys
from collections.abc import Sequence

from data_prep.audit import command as audit
from data_prep.commands import demo, questions, rl, sft, test
from data_prep.config_file import OptionParser, commands_of, with_config
from rewards.errors import run_cli

COMMANDS = (demo, sft, rl, test, audit, questions)


def make_parser() -> OptionParser:
    """Return the parser of the whole command line."""
    parser = OptionParser(prog="python -m data_prep", description=__doc__, formatter_class=_AsIs)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for module in COMMANDS:
        module.add_command(commands)
    for command in commands.choices.values():
        command.add_argument("--config", metavar="FILE", help="YAML file with these options")
    every = commands.add_parser("all", help="every command that a YAML file has a section for")
    every.add_argument("--config", metavar="FILE", required=True, help="command: {option: value}")
    return parser


def run(argv: Sequence[str]) -> None:
    """Run the command that ``argv`` names.

    Raises:
        UserError: An option is wrong, or the command cannot be done.
    """
    parser = make_parser()
    if argv[:1] == ["all"]:
        every, further = parser.parse_known_args(argv)
        for command in commands_of(every.config, parser):
            print(f"== {command}", flush=True)
            run([command, "--config", every.config, *further])
        return
    args = parser.parse_args(with_config(argv, parser))
    args.run(args)


def main() -> None:
    """Parse the command line and run the chosen command."""
    run(sys.argv[1:])


_AsIs = argparse.RawDescriptionHelpFormatter

if __name__ == "__main__":
    run_cli(main)
