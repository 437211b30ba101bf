"""From evaluation folders to figures and ``report.html``."""

from collections.abc import Sequence
from pathlib import Path

from recipes.report.cases import choose_cases
from recipes.report.evaluation import read_evaluations
from recipes.report.page import Section, render
from recipes.report.sections import (
    confusion_section,
    headline,
    run_facts,
    tiles,
    token_section,
)
from rewards.errors import UserError
from rewards.files import write_text


def write_report(folder: Path, others: Sequence[Path] = ()) -> Path:
    """Write ``figures/*.png``, ``figures/*.svg`` and ``report.html`` into an evaluation folder.

    Reads nothing but the files of the folders. The same input gives the same bytes.

    Args:
        folder: The evaluation that the report is about.
        others: Evaluations to put beside it, of other checkpoints or models.

    Returns:
        The page's path.

    Raises:
        UserError: A folder or its predictions are missing, one of its files is broken, or the
            report cannot be written.
    """
    runs = read_evaluations([folder, *others])
    cases = choose_cases(runs)
    figures = folder / "figures"
    try:
        sections = [
            token_section(runs, figures),
            Section("cases", "Case studies", [], template="cases.html"),
            confusion_section(runs, figures),
            Section("samples", "Samples", template="samples.html"),
            Section("run", "How the run was made", template="run.html"),
        ]
        page = render(
            runs, headline(runs[0]), tiles(runs[0]), sections, cases, run_facts(runs[0])
        )
        write_text(folder / "report.html", page)
    except OSError as error:
        raise UserError(
            f"cannot write the report into {folder} ({error.strerror}); expected a folder that can "
            "be written."
        ) from error
    return folder / "report.html"
