"""How figures look, and how they get into files and into the page."""

import io
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from markupsafe import Markup
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from rewards.files import write_text

# Okabe and Ito's colours: told apart with any kind of colour vision, and on white as on black.
BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = (
    *("#0072B2", "#D55E00", "#009E73"),
    *("#E69F00", "#CC79A7", "#56B4E9"),
)
COLOURS = {"simple": BLUE, "hard": VERMILION, "neutral": GREEN}
RUN_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
MARKERS = "osD^vP*X"
INK = "#1b1f24"  # becomes the page's own text colour, dark or light
WIDTH = 7.2  # inches

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: figures are the same everywhere
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",  # text stays text: it can be selected, searched and read aloud
    "text.parse_math": False,  # a category named $x is no formula
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color", "patch.edgecolor"), INK),
}


@dataclass(frozen=True)
class Chart:
    """A figure as the page shows it.

    Attributes:
        name: Of its files, without ending.
        caption: What it shows, with numbers of images.
        svg: The drawing, ready for the page.
    """

    name: str
    caption: str
    svg: Markup


def draw(
    name: str, caption: str, alt: str, folder: Path, make: Callable[..., Figure], *args: Any
) -> Chart:
    """Make a figure, write ``<folder>/<name>.png`` and ``.svg``, and return it for the page.

    Args:
        name: Of the files.
        caption: For the page.
        alt: What there is to see, for those who cannot see it.
        folder: Where the files go.
        make: Returns the figure.
        *args: Of ``make``.
    """
    # The salt decides the ids in the SVG, which must be the same each time and differ by figure.
    with plt.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = make(*args)
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(
            folder / f"{name}.png", dpi=150, facecolor="white", metadata={"Software": None}
        )
        figure.set_layout_engine("none")  # laid out once; the second drawing keeps it
        buffer = io.StringIO()
        unstamped = {"Date": None, "Creator": None}
        figure.savefig(buffer, format="svg", transparent=True, metadata=unstamped)
        plt.close(figure)
    svg = _prepared(buffer.getvalue(), name, alt)
    write_text(folder / f"{name}.svg", svg + "\n")
    return Chart(name, caption, Markup(svg))


def shorten(name: str, longest: int = 26) -> str:
    """Return a name that fits beside an axis, without characters that no font has."""
    name = "".join("\N{REPLACEMENT CHARACTER}" if _unprintable(c) else c for c in name)
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def frame(n_rows: int = 1, n_columns: int = 1, height: float = 3.0, **options: Any) -> Any:
    """Return a figure as wide as the page, and its axes as an array of rows."""
    return plt.subplots(
        n_rows,
        n_columns,
        figsize=(WIDTH, height),
        squeeze=False,
        layout="constrained",
        **options,
    )


def plain_numbers(axis: Axis) -> None:
    """Write the numbers of a logarithmic axis as 1, 10, 100; between them, ticks alone."""
    axis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.set_minor_formatter(NullFormatter())


def legend(figure: Figure, axis: plt.Axes, n_columns: int = 4) -> None:
    """Put the legend of ``axis`` under the figure, where it hides nothing."""
    handles, names = axis.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(n_columns, len(names)))


def _unprintable(character: str) -> bool:
    return unicodedata.category(character)[0] == "C"


def _prepared(svg: str, name: str, alt: str) -> str:
    """Return the SVG in the page's colours, with ids of its own and its text alternative."""
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    root = ET.fromstring(svg.replace(INK, "currentColor"))
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key == f"{{{_XLINK}}}href" and value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{name}-"))
    root.set("role", "img")
    root.set("aria-label", alt)
    return ET.tostring(root, encoding="unicode")
