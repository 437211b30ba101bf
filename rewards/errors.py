"""Errors that are the user's to fix, and how a command line shows them."""

import sys
from collections.abc import Callable
from typing import NoReturn


class UserError(ValueError):
    """Bad input. The message says what was found, what was expected and what to do."""


def run_cli(main: Callable[[], None]) -> NoReturn:
    """Run ``main`` and exit; a ``UserError`` becomes one paragraph on stderr and exit status 2."""
    try:
        main()
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on where it was.\n")
        sys.exit(130)
    sys.exit(0)
