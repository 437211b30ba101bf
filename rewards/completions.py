"""What TRL hands to a reward function, read."""

from collections.abc import Mapping, Sequence
from typing import Any

from rewards.errors import UserError


def completion_text(completion: str | Sequence[Mapping[str, Any]]) -> str:
    """Return the text of a completion: a string, or a conversation's last turn.

    A turn's content may be a string, a list of blocks, of which the text ones count, or None.

    Raises:
        UserError: The completion is neither.
    """
    if isinstance(completion, str):
        return completion
    turn = completion[-1] if isinstance(completion, Sequence) and completion else None
    if not isinstance(turn, Mapping) or "content" not in turn:
        raise UserError(
            f"a completion is {str(completion)[:80]!r}; expected a string or a list of turns with "
            "'role' and 'content', as TRL passes them."
        )
    content = turn["content"] or ""
    if isinstance(content, str):
        return content
    return "".join(block.get("text") or "" for block in content)


def require_column(values: Sequence[str] | None, name: str, n_completions: int) -> Sequence[str]:
    """Return the data set column ``name`` that a reward needs, checked.

    Raises:
        UserError: The column is missing or has another length than the completions.
    """
    if values is None:
        raise UserError(
            f"the reward needs the data set column {name!r}, which was not passed: build the data "
            "set with data_prep and set remove_unused_columns: false."
        )
    if len(values) != n_completions:
        raise UserError(
            f"column {name!r} has {len(values)} values for {n_completions} completions; expected "
            "one value a completion."
        )
    return values
