"""Read a recipe's YAML and command line through ``TrlParser``, with errors a user can act on."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from trl import TrlParser

from rewards.errors import UserError


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML silently takes the last of two equal keys; this loader refuses them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise UserError(f"{node.start_mark.name}: key {key!r} is there twice; remove one.")
        return super().construct_mapping(node, deep)


class _Parser(TrlParser):
    """Reports a bad command line in a sentence, without hundreds of lines of usage."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}. `--help` lists every option.")


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Return the mapping of a YAML file.

    Raises:
        UserError: The file is missing, is not a YAML mapping, or has a key twice.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"configuration {path} does not exist; see recipes/configs for those there are."
        )
    try:
        with path.open(encoding="utf-8") as file:
            content = yaml.load(file, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds {type(content).__name__}; expected `key: value` lines.")
    return content


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
