"""Tables of the page: what stands in each cell; how it looks is the template's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOT_DEFINED = "–"  # noqa: RUF001


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: What it says.
        interval: The 95 % interval, below it.
        number: Whether it is one, and stands at the right.
        link: Where it leads, into the browser of samples; none: None.
    """

    text: str
    interval: str = ""
    number: bool = True
    link: dict[str, str] | None = None


@dataclass(frozen=True)
class Row:
    """One row; ``published`` marks numbers that are not ours."""

    cells: list[Cell]
    published: bool = False


@dataclass(frozen=True)
class Table:
    """A table with its caption.

    Attributes:
        caption: What it shows.
        columns: Names; those of numbers stand at the right as the numbers do.
        rows: As many cells each as there are columns.
        n_text: Columns at the left that hold text.
    """

    caption: str
    columns: list[str]
    rows: list[Row]
    n_text: int = 1


def text(value: Any) -> Cell:
    """Return a cell of words."""
    return Cell(NOT_DEFINED if value in (None, "") else str(value), number=False)


def count(value: int | None, link: dict[str, str] | None = None) -> Cell:
    """Return a cell with a number of things."""
    return Cell(NOT_DEFINED if value is None else f"{value:,}", link=link)


def per_cent(value: float | None, ci95: Sequence[float] | None = None) -> Cell:
    """Return a fraction in per cent with its interval."""
    return number(value, ci95, factor=100.0, digits=2)


def number(
    value: float | None,
    ci95: Sequence[float] | None = None,
    *,
    factor: float = 1.0,
    digits: int = 1,
) -> Cell:
    """Return a number, times ``factor``, with its interval."""
    if value is None:
        return Cell(NOT_DEFINED)
    interval = f"[{', '.join(f'{factor * v:.{digits}f}' for v in ci95)}]" if ci95 else ""
    return Cell(f"{factor * value:.{digits}f}", interval)


def with_interval(values: Mapping[str, Any], *keys: str) -> tuple[Any, Any]:
    """Return what stands under ``keys`` and its interval under the same keys of ``ci95``."""
    value: Any = values
    ci95: Any = values.get("ci95") or {}
    for key in keys:
        value = (value or {}).get(key)
        ci95 = (ci95 or {}).get(key)
    return value, ci95


def estimated(value: Mapping[str, Any] | None, **options: Any) -> Cell:
    """Return the cell of an estimate, ``{"value", "ci95"}``; options as ``number`` takes them."""
    value = value or {}
    options = {"factor": 100.0, "digits": 2, **options}
    return number(value.get("value"), value.get("ci95"), **options)
