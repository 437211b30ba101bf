"""Options that one reader alone has: other spellings, other files, which part of a set."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_prep.commands.options import add_flag
from data_prep.settings import Source
from data_prep.sources.label_map import parse_label_map
from rewards.errors import UserError


def add_reader_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``with_reader_options`` reads."""
    add = parser.add_argument
    add(
        "--label_map",
        nargs="+",
        metavar="NAME=LABEL",
        help="--folder, --csv: what your class folders or labels mean, e.g. 0=real 1=fake",
    )
    add("--loki_questions", type=Path, nargs="+", metavar="FILE", help="true/false questions")
    add(
        "--community_forensics_parts",
        nargs="+",
        metavar="PART",
        help="what stands before the number in the shards' names (default: CompEval, PublicEval)",
    )
    add(
        "--ivy_fake_annotations", type=Path, metavar="FILE", help="instead of clean_data/test.jsonl"
    )
    add_flag(
        parser,
        "ivy_fake_drop_leaks",
        "leave out the images that Ivy-Fake took from FakeClue, Chameleon or GenImage",
    )


def with_reader_options(args: argparse.Namespace, sources: Sequence[Source]) -> list[Source]:
    """Return the sources with the options of their readers.

    Raises:
        UserError: An option is given and the set it is for is not.
    """
    label_map = {"label_map": parse_label_map(args.label_map)} if args.label_map else {}
    options: dict[str, dict[str, Any]] = {
        "folder": label_map,
        "csv": label_map,
        "loki": _given(questions=args.loki_questions),
        "community_forensics": _given(parts=args.community_forensics_parts),
        "ivy_fake": _given(
            annotations=args.ivy_fake_annotations, drop_leaks=args.ivy_fake_drop_leaks or None
        ),
    }
    named = {source.name for source in sources}
    for name, given in options.items():
        if given and name not in named and not (given is label_map and named & {"folder", "csv"}):
            raise UserError(
                f"{' and '.join(f'--{name}_{key}' for key in given)}: there is no --{name} to read."
                if given is not label_map
                else "--label_map: there is no --folder and no --csv to read."
            )
    return [replace(source, options=options.get(source.name, {})) for source in sources]


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
