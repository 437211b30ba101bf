"""Read a recipe's YAML and command line through ``TrlParser``, with errors a user can act on."""

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from trl import TrlParser

from rewards.errors import UserError
from rewards.yaml_files import read_yaml

__all__ = ["parse", "read_yaml"]


class _Parser(TrlParser):
    """Reports a bad command line in a sentence, without hundreds of lines of usage."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}. `--help` lists every option.")


def parse(dataclass_types: Sequence[type], argv: Sequence[str] | None = None) -> tuple[Any, ...]:
    """Return an instance of each dataclass: YAML over defaults, command line over YAML.

    Raises:
        UserError: A key or option is unknown, a required one is missing, or a value is refused.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if "--config" in argv:
        position = argv.index("--config") + 1
        if position == len(argv):
            raise UserError("--config needs the path of a YAML file after it.")
        known = {name for cls in dataclass_types for name in cls.__dataclass_fields__}
        unknown = [key for key in read_yaml(argv[position]) if key not in known | {"env"}]
        if unknown:
            raise UserError(
                f"{argv[position]} has unknown keys {unknown}. Check the spelling; the recipe's "
                "`--help` lists the keys there are."
            )
    classes: Any = tuple(dataclass_types)
    try:
        return _Parser(classes).parse_args_and_config(args=argv)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(" ".join(str(error).split())) from error
