"""Open a data set for training, filtering or evaluation, and refuse one that cannot serve."""

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset, load_dataset

from data_prep.staging import staged
from rewards import ALL_BANKS, LABELS
from rewards.errors import UserError

TRAINING_COLUMNS = ("images", "prompt", "completion", "label", "question_bank")
SAMPLING_COLUMNS = ("id", "images", "prompt", "label", "question_bank")
TEST_COLUMNS = ("id", "images", "label")


def load_rows(path: str | Path, split: str, columns: Sequence[str] = TRAINING_COLUMNS) -> Dataset:
    """Load one split of a data set folder (or hub id) and check it.

    With ``FAKE_HR1_STAGE_DATA`` it is read from the node's own disk (``data_prep.staging``).

    Raises:
        UserError: The folder or the split is missing, a column of ``columns`` is missing, the split
            is empty, or ``label`` or ``question_bank`` holds an unknown value.
    """
    dataset = _load(path, split)
    missing = [column for column in columns if column not in dataset.column_names]
    if missing:
        raise UserError(
            f"data set {path}, split {split!r}, lacks the columns {missing}: it has "
            f"{sorted(dataset.column_names)}. Build it with `make data` or see data_prep/rows.py."
        )
    if len(dataset) == 0:
        raise UserError(f"data set {path}, split {split!r}, has no rows; build it again.")
    for column, allowed in (("label", LABELS), ("question_bank", ALL_BANKS)):
        if column in columns:
            _check_values(dataset, column, allowed, f"data set {path}, split {split!r}")
    return dataset


def _load(path: str | Path, split: str) -> Dataset:
    folder = Path(path)
    looks_local = folder.exists() or str(path).startswith((".", "/", "data/", "runs/"))
    if looks_local and not folder.is_dir():
        raise UserError(
            f"data set folder {path} does not exist. `make data` builds the embedded one in "
            "data/demo; a stage before this one writes the others."
        )
    try:
        return load_dataset(str(staged(path)), split=split)
    except ValueError as error:
        raise UserError(
            f"data set {path} has no split {split!r} ({str(error).splitlines()[0]}). Name another "
            "split or build the data set again."
        ) from error
    except (FileNotFoundError, ConnectionError) as error:
        raise UserError(
            f"data set {path} was found neither as a folder with Parquet files nor on the hub: "
            f"{str(error).splitlines()[0]}"
        ) from error


def _check_values(dataset: Dataset, column: str, allowed: Sequence[str], where: str) -> None:
    unknown = sorted({str(value) for value in dataset.unique(column)} - set(allowed))
    if unknown:
        raise UserError(
            f"{where}: column {column!r} holds {unknown[:5]}; expected only {list(allowed)}. "
            "Convert the labels where the data set is built."
        )
