"""Command line: ``python -m data_prep audit data/demo/sft --against data/demo/test``."""

import argparse
import os
from typing import Any

from data_prep.audit.limits import MAX_PIXELS, MIN_PIXELS, TokenLimits

HELP = "leaks, biases and balance of a data set folder, as a page"


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add ``audit`` to the sub-commands of ``python -m data_prep``."""
    parser = commands.add_parser("audit", help=HELP, description=HELP)
    parser.add_argument("folder", metavar="DIR", help="data set folder (Parquet)")
    parser.add_argument(
        "--against", nargs="+", default=[], metavar="DIR", help="sets that must share no picture"
    )
    parser.add_argument("--output_dir", help="folder of the page (default: DIR/audit)")
    parser.add_argument(
        "--max_distance", type=int, default=4, help="bits of 64 in which near duplicates may differ"
    )
    parser.add_argument(
        "--max_bias_rows", type=int, default=20_000, help="rows of a source used for its biases"
    )
    parser.add_argument("--tokenizer", help="checkpoint that counts tokens (default: words)")
    parser.add_argument("--min_pixels", type=int, default=MIN_PIXELS, help="as in training")
    parser.add_argument("--max_pixels", type=int, default=MAX_PIXELS, help="as in training")
    parser.add_argument("--max_length", type=int, help="as in training (default: not cut)")
    parser.add_argument("--num_proc", type=int, default=os.cpu_count() or 1, help="processes")
    parser.set_defaults(run=run_audit)
    return parser


def run_audit(args: argparse.Namespace) -> None:
    """Audit ``args.folder`` and say what was found and where the page is."""
    from data_prep.audit.run import AuditOptions, audit_build  # scikit-learn, faiss: seconds

    options = AuditOptions(
        max_distance=args.max_distance,
        max_bias_rows=args.max_bias_rows,
        tokenizer=args.tokenizer,
        limits=TokenLimits(args.min_pixels, args.max_pixels, args.max_length),
        num_proc=args.num_proc,
    )
    result = audit_build(args.folder, args.against, options, output_dir=args.output_dir)
    for finding in result.findings:
        print(f"{finding.level:8}{finding.title}")
    print(f"{result.output_dir / 'audit.html'}")
