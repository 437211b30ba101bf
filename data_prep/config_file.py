"""Options from a YAML file: the same names, unknown ones refused, the command line over them."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from rewards.errors import UserError
from rewards.yaml_files import read_yaml


class OptionParser(argparse.ArgumentParser):
    """Reports a bad command line in a sentence, and takes no shortened options."""

    def __init__(self, **options: Any) -> None:
        """Make a parser; see ``argparse.ArgumentParser``."""
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Raise a ``UserError`` instead of printing the usage."""
        raise UserError(f"{self.prog}: {message}. `--help` lists every option.")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; ``defaults`` keeps the options' defaults, by which a command is told again."""
        parsed, further = super().parse_known_args(args, namespace)
        if not self.has_commands:
            defaults = {a.dest: a.default for a in self._actions if a.dest != "help"}
            parsed.defaults = defaults
        return parsed, further

    @property
    def has_commands(self) -> bool:
        """Whether this is the parser above the commands."""
        return self._subparsers is not None

    def command(self, name: str) -> "OptionParser":
        """Return the parser of a command.

        Raises:
            UserError: There is none of that name.
        """
        parsers = self.commands
        if name not in parsers:
            raise UserError(f"unknown command {name!r}; expected one of {sorted(parsers)}.")
        return parsers[name]

    @property
    def commands(self) -> dict[str, "OptionParser"]:
        """The commands' parsers by name."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}


def with_config(argv: Sequence[str], parser: OptionParser) -> list[str]:
    """Return ``argv`` with the options of its ``--config`` file put before its own.

    Raises:
        UserError: The file cannot be read, or has an option that the command does not have.
    """
    argv = [part for word in argv for part in _split_config(word)]
    if "--config" not in argv:
        return argv
    position = argv.index("--config")
    if position + 1 == len(argv) or position == 0:
        raise UserError("--config needs a command before it and the path of a YAML file after it.")
    path = argv[position + 1]
    content = read_yaml(path)
    sections = [key for key in content if key in parser.commands]
    if sections:
        content = _section(content, argv[0], path, parser)
    words = _as_words(content, parser.command(argv[0]), path)
    return [argv[0], *words, *argv[1:position], *argv[position + 2 :]]


def commands_of(path: str, parser: OptionParser) -> list[str]:
    """Return the commands that a YAML file has sections for, in its order.

    Raises:
        UserError: A key is no command.
    """
    content = read_yaml(path)
    for command in content:
        _section(content, command, path, parser)
    return list(content)


def _split_config(word: str) -> list[str]:
    return word.split("=", 1) if word.startswith("--config=") else [word]


def _section(
    content: dict[str, Any], command: str, path: str, parser: OptionParser
) -> dict[str, Any]:
    unknown = [key for key in content if key not in parser.commands or key == "all"]
    if unknown:
        raise UserError(f"{path} has unknown sections {unknown}; each must be named as a command.")
    if command not in content:
        raise UserError(f"{path} has no section {command!r}; it has {list(content)}.")
    if not isinstance(content[command], dict):
        raise UserError(f"{path}: section {command!r} must hold `option: value` lines.")
    return content[command]


def _as_words(options: dict[str, Any], parser: OptionParser, path: str) -> list[str]:
    known = parser._option_string_actions
    unknown = [key for key in options if f"--{key}" not in known or key in ("config", "help")]
    if unknown:
        raise UserError(
            f"{path} has unknown keys {unknown}. Check the spelling; `--help` lists the options."
        )
    words: list[str] = []
    for key, value in options.items():
        if value is None:
            continue
        if isinstance(known[f"--{key}"], argparse.BooleanOptionalAction):
            if not isinstance(value, bool):
                raise UserError(f"{path}: {key} is {value!r}; expected true or false.")
            words.append(f"--{key}" if value else f"--no-{key}")
        elif isinstance(value, list):
            words += [f"--{key}", *map(str, value)]
        elif isinstance(value, dict):
            raise UserError(f"{path}: {key} holds a mapping; expected a value.")
        else:
            words.append(f"--{key}={value}")
    return words
