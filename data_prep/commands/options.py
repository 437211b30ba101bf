"""Options that several commands share, and what they make of them."""

import argparse
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

from data_prep.commands.question_options import bank_request
from data_prep.prompts import load_prompts
from data_prep.settings import BuildRequest, BuildSettings, Source
from rewards.errors import UserError

Commands = Any  # what argparse.ArgumentParser.add_subparsers returns; its class is private


def add_build_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every build of a data set."""
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to make")
    parser.add_argument(
        "--prompts_file", type=Path, help="system prompt and question banks (default: the paper's)"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides questions, order and samples")
    parser.add_argument(
        "--num_proc",
        type=_positive,
        default=len(os.sched_getaffinity(0)),
        help="processes (default: every core); the bytes written do not depend on it",
    )
    parser.add_argument(
        "--image_storage",
        choices=("embed", "path"),
        default="embed",
        help="embed: the files' bytes are in the rows; path: absolute paths alone, for images that "
        "stay on a shared disk",
    )
    parser.add_argument(
        "--check",
        choices=("full", "header"),
        default="full",
        help="full: decode every image, leave out broken ones, hash pixels; header: read headers "
        "alone, truncated files pass (an audit decodes them afterwards to find duplicates, and "
        "lists the broken ones, which stay; --no-audit decodes none)",
    )
    parser.add_argument(
        "--rows_per_shard",
        type=_positive,
        help="rows in a Parquet file (default: 2000; down to 500 in sets below 128,000 rows)",
    )
    add_flag(parser, "overwrite", "replace what --output_dir holds, finished or not")
    add_flag(parser, "audit", "look for leaks and biases at the end (default: yes)", default=True)
    parser.add_argument(
        "--push_to_hub",
        metavar="REPO",
        help="upload the finished folder to this data set repository (made private if new)",
    )


def add_flag(
    parser: argparse.ArgumentParser, name: str, text: str, *, default: bool = False
) -> None:
    """Add ``--name`` and ``--no-name``, so that a command line can undo what a YAML file says."""
    parser.add_argument(
        f"--{name}", action=argparse.BooleanOptionalAction, default=default, help=text
    )


def add_audit_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the audit that ends every build."""
    parser.add_argument(
        "--against",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="data sets that no row may leak into: the test sets",
    )
    add_flag(parser, "drop_leaks", "leave out rows whose picture is in --against")


def run_build(
    args: argparse.Namespace,
    *,
    sources: list[Source],
    title: str,
    description: str,
    split: str,
    **settings: Any,
) -> None:
    """Build what the options ask for, and publish it if they ask for that.

    Raises:
        UserError: No source is given, or see ``build`` and ``publish``.
    """
    # Here and not above: `--help` need not wait for `datasets`, nor does every worker's start.
    from data_prep.build import build, check_output
    from data_prep.build_questions import bank_file_for, questions_folder

    if getattr(args, "drop_leaks", False) and not (args.audit and args.against):
        raise UserError("--drop_leaks needs --against DIR, and the audit.")
    if not sources:
        raise UserError("no data set is given; `--help` lists the options that name one.")
    if args.push_to_hub:
        from data_prep.publish import check_publishing

        check_publishing(args.push_to_hub, args.image_storage)
    output_dir = args.output_dir.absolute()
    questions, prompts_file = bank_request(args), args.prompts_file
    if questions is not None:
        check_output(output_dir, args.overwrite)
        prompts_file = bank_file_for(output_dir, questions, overwrite=args.overwrite)
    request = BuildRequest(
        output_dir=output_dir,
        sources=sources,
        settings=BuildSettings(
            split=split,
            seed=args.seed,
            prompts=load_prompts(prompts_file),
            image_storage=args.image_storage,
            check=args.check,
            rows_per_shard=args.rows_per_shard,
            **settings,
        ),
        title=title,
        description=description,
        command=command_line(args),
        num_proc=args.num_proc,
        overwrite=args.overwrite,
        audit=args.audit,
        against=[path.absolute() for path in getattr(args, "against", [])],
        drop_leaks=getattr(args, "drop_leaks", False),
        questions=questions,
        bank_file=prompts_file if questions else None,
    )
    folder = build(request)
    shutil.rmtree(questions_folder(output_dir), ignore_errors=True)  # the set has it now
    if args.push_to_hub:
        from data_prep.publish import publish

        print(f"uploaded to {publish(folder, args.push_to_hub)}", flush=True)


def sources_of(args: argparse.Namespace, names: list[str], split: str) -> list[Source]:
    """Return the sources whose options are given; roots are made absolute, links stay."""
    return [
        Source(name, root.absolute(), split) for name in names for root in getattr(args, name) or []
    ]


def command_line(args: argparse.Namespace) -> str:
    """Return the command that makes the same data set again, with no YAML file.

    What does not decide a byte (processes, overwriting, uploading) and defaults are left out.
    """
    words = ["python", "-m", "data_prep", args.command]
    for name, value in sorted(vars(args).items()):
        if name in _NOT_OF_THE_DATA or value == args.defaults.get(name):
            continue
        if value is False:
            words.append(f"--no-{name}")
            continue
        values = value if isinstance(value, list) else [value]
        words.append(f"--{name}")
        words += [] if value is True else [str(v) for v in values]
    return shlex.join(words)


_NOT_OF_THE_DATA = {
    *("command", "run", "defaults", "num_proc", "overwrite", "push_to_hub", "config"),
}


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number
