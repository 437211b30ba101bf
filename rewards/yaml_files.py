"""Read YAML files strictly."""

from pathlib import Path
from typing import Any

import yaml

from rewards.errors import UserError


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML silently takes the last of two equal keys; this loader refuses them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise UserError(f"{node.start_mark.name}: key {key!r} is there twice; remove one.")
        return super().construct_mapping(node, deep)


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
