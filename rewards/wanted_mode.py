"""Whether an image wants thinking, from what the filter measured of it.

Beyond Fake-HR1, whose questions alone decide (its future work, Sec. 5): under a neutral question
the image decides. The filter writes the share of right answers under simple and hard questions as
the columns ``pass_rate_simple`` and ``pass_rate_hard``; under simple questions the model answers
without thinking (the filter's summary says how nearly always).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rewards.errors import UserError

PASS_RATE_COLUMNS = {"simple": "pass_rate_simple", "hard": "pass_rate_hard"}
DIFFICULTY_RULES = {"pass_rate": ("simple",), "gain": ("simple", "hard")}  # and the banks they read


def pass_rate_columns(rule: str) -> list[str]:
    """Return the columns that ``rule`` reads; none for a rule that does not look at the image."""
    return [PASS_RATE_COLUMNS[bank] for bank in DIFFICULTY_RULES.get(rule, ())]


def wants_thinking(
    rule: str,
    columns: Mapping[str, Sequence[Any] | None],
    index: int,
    *,
    enough_right: float,
    thinking_gain: float,
) -> bool:
    """Return whether thinking is wanted on the image of row ``index``.

    Args:
        rule: ``pass_rate``: where the pass rate without thinking is below ``enough_right``;
            ``gain``: where thinking raises the pass rate by more than ``thinking_gain``.
        columns: The data set's columns by name, a value a row.
        index: Of the row.
        enough_right: Share of right answers, 0 to 1, from which on thinking is not needed.
        thinking_gain: Difference of two such shares.

    Raises:
        UserError: A column or the row's value in it is missing.
    """
    rates = []
    for name in pass_rate_columns(rule):
        values = columns.get(name)
        value = None if values is None else values[index]
        if value is None:
            where = "the data set" if values is None else f"row {index} of the batch"
            raise UserError(
                f"neutral_bank: {rule} needs the column {name!r}, which {where} lacks. The filter "
                "writes it with --measure both; or set neutral_bank: neutral."
            )
        rates.append(float(value))
    if rule == "pass_rate":
        return rates[0] < enough_right
    return rates[1] - rates[0] > thinking_gain
