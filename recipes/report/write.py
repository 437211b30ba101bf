"""From evaluation folders to figures and ``report.html``."""

from collections.abc import Sequence
from pathlib import Path

from recipes.report.breakdowns import breakdown_section, robustness_section
from recipes.report.cases import choose_cases
from recipes.report.compared import compared_section
from recipes.report.evaluation import Evaluation, read_evaluations
from recipes.report.measures import explanation_section, sampling_section, score_section
from recipes.report.page import Section, render
from recipes.report.sections import (
    confusion_section,
    headline,
    run_facts,
    tiles,
    token_section,
)
from recipes.report.table1 import table1_section
from recipes.report.thinking import thinking_section
from rewards.errors import UserError
from rewards.files import write_text

_CASES = (
    "In the manner of the paper's Figure 6. Nothing is picked by hand: each image was chosen by "
    "the rule that stands with it, and where a rule fits several images, by the hash of their ids."
)


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
    figures = folder / "figures"
    try:
        page = render(
            runs,
            headline(runs[0]),
            tiles(runs[0]),
            all_sections(runs, figures),
            choose_cases(runs),
            run_facts(runs[0]),
            runs[0].metrics["notes"],
        )
        write_text(folder / "report.html", page)
    except OSError as error:
        raise UserError(
            f"cannot write the report into {folder} ({error.strerror}); expected a folder that can "
            "be written."
        ) from error
    return folder / "report.html"


def all_sections(runs: Sequence[Evaluation], figures: Path) -> list[Section]:
    """Return the sections of the page, their figures drawn into the folder ``figures``."""
    return [
        table1_section(runs),
        *([compared_section(runs)] if len(runs) > 1 else []),
        token_section(runs, figures),
        Section("cases", "Case studies", [_CASES], template="cases.html"),
        confusion_section(runs, figures),
        thinking_section(runs, figures),
        score_section(runs, figures),
        breakdown_section(runs, figures),
        robustness_section(runs, figures),
        explanation_section(runs),
        sampling_section(runs, figures),
        Section("samples", "Browse all answers", template="samples.html"),
        Section("run", "How the run was made", template="run.html"),
    ]
