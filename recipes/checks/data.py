"""The data set of a stage: what would make its recipe fail, or teach the wrong thing."""

from collections import Counter
from pathlib import Path

from data_prep.loading import SAMPLING_COLUMNS, TEST_COLUMNS, TRAINING_COLUMNS
from recipes.budget.tokens import TextRule
from recipes.checks.findings import ERROR, NOTE, WARNING, Findings
from recipes.checks.row_files import RowFiles
from recipes.checks.scan import Scan, Scanner
from rewards import ALL_BANKS, LABELS
from rewards.errors import UserError

COLUMNS = {
    "sft": TRAINING_COLUMNS,
    "filter": SAMPLING_COLUMNS,
    "grpo": SAMPLING_COLUMNS,
    "eval": TEST_COLUMNS,
}


def scan_data(
    stage: str,
    path: str,
    split: str,
    rule: TextRule,
    max_rows: int | None,
    max_images: int,
    findings: Findings,
) -> tuple[Scan, int] | None:
    """Look at a stage's data set; None where it cannot be read, which is a finding.

    Returns:
        What its rows hold, and the number of rows there are.
    """
    looks_local = path.startswith((".", "/", "data/", "runs/"))
    if looks_local and not Path(path).is_dir():
        findings.add(ERROR, f"the data set {path} does not exist; build it, or name one with DATA.")
        return None
    try:
        rows = RowFiles(path, split)
        missing = [column for column in COLUMNS[stage] if column not in rows.column_names]
        if missing:
            findings.add(ERROR, f"{path} lacks the columns {missing}: it has {rows.column_names}.")
            return None
        scan = Scanner(rule).scan(rows, max_rows, max_images)
    except UserError as error:
        findings.add(ERROR, str(error))
        return None
    _judge(stage, path, scan, rows, findings)
    return scan, rows.n_rows


def _judge(stage: str, path: str, scan: Scan, rows: RowFiles, findings: Findings) -> None:
    if not scan.n_rows:
        findings.add(ERROR, f"{path}, split {rows.split!r}, has no rows.")
        return
    if scan.n_rows < rows.n_rows:
        findings.add(
            NOTE, f"{scan.n_rows} of {rows.n_rows} rows were looked at, evenly spread (max_rows)."
        )
    _judge_values("label", scan.labels, LABELS, findings)
    if stage != "eval":
        _judge_values("question_bank", scan.banks, ALL_BANKS, findings)
    for fault, n in scan.faults.items():
        examples = "; ".join(scan.examples[fault])
        findings.add(
            ERROR,
            f"{n} of {scan.n_rows} gold answers: {fault}, for instance {examples}. A model that "
            "learns them is punished for it; mend them where the data set is built.",
        )
    n_sizes = int(scan.known_sizes.sum())
    if n_sizes < scan.n_rows:
        findings.add(
            NOTE,
            f"image sizes of {n_sizes} rows were read from the images' headers, evenly spread; a "
            "data set with measurements/ has all of them.",
        )


def _judge_values(
    name: str, counts: Counter[str], allowed: tuple[str, ...], findings: Findings
) -> None:
    unknown = {value: n for value, n in counts.items() if value not in allowed}
    if unknown:
        shown = dict(list(unknown.items())[:5])
        findings.add(ERROR, f"column {name!r} holds {shown}; expected only {list(allowed)}.")
    elif len(counts) == 1 and name == "label":
        findings.add(
            WARNING, f"every row is {next(iter(counts))!r}: the constant answer earns all rewards."
        )
