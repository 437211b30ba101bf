"""What an evaluation folder holds, read for the report."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rewards.errors import UserError
from rewards.judged import Judged, judge
from rewards.records import Prediction, read_predictions
from rewards.summary import SummarySettings, summarise_folder

THUMBNAILS = "thumbnails.parquet"


@dataclass(frozen=True)
class Evaluation:
    """One evaluation folder.

    Attributes:
        folder: Where it stands.
        name: What it is called in the report.
        predictions: Of ``predictions.jsonl``.
        metrics: Content of ``metrics.json``, see ``rewards.summary``.
        run: Content of ``run.json``; empty without one.
        thumbnails: WebP bytes by image id; empty where none were written.
    """

    folder: Path
    name: str
    predictions: list[Prediction]
    metrics: dict[str, Any]
    run: dict[str, Any]
    thumbnails: dict[str, bytes] = field(default_factory=dict)

    @cached_property
    def judged(self) -> Judged:
        """The predictions, judged, in their order."""
        return judge(self.predictions)


def read_evaluation(folder: Path) -> Evaluation:
    """Read an evaluation folder; what is optional may be missing.

    Raises:
        UserError: There is no such folder, it holds no predictions, or one of its files is broken.
    """
    if not folder.is_dir():
        raise UserError(
            f"there is no evaluation folder {folder}; `make eval` writes one with its "
            "predictions.jsonl."
        )
    predictions = read_predictions(folder / "predictions.jsonl")
    run = read_json(folder / "run.json")
    return Evaluation(
        folder=folder,
        name=_name_of(folder, run),
        predictions=predictions,
        metrics=read_metrics(folder, run, len(predictions)),
        run=run,
        thumbnails=read_thumbnails(folder / THUMBNAILS),
    )


def read_metrics(folder: Path, run: dict[str, Any], n_predictions: int) -> dict[str, Any]:
    """Return ``metrics.json``; without one, or one of other predictions, it is written first.

    Raises:
        UserError: The file is no JSON object, or what it is made from is broken.
    """
    metrics = read_json(folder / "metrics.json")
    if (metrics.get("run") or {}).get("n_predictions") == n_predictions:
        return metrics
    config = run.get("config") or {}
    known = ("n_bootstrap", "seed", "bootstrap_unit", "max_completion_length")
    settings = {key: config[key] for key in known if config.get(key) is not None}
    return summarise_folder(folder, SummarySettings(name=_name_of(folder, run), **settings))


def read_evaluations(folders: Sequence[Path]) -> list[Evaluation]:
    """Read evaluation folders; two of one name are told apart by their folders."""
    runs = [read_evaluation(folder) for folder in folders]
    names = [run.name for run in runs]
    return [
        Evaluation(**{**vars(run), "name": f"{run.name} ({run.folder})"})
        if names.count(run.name) > 1
        else run
        for run in runs
    ]


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one where there is no file.

    Raises:
        UserError: The file holds something else.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(
            f"{path} is not JSON ({error}); expected one object. Remove the file, or run the "
            "evaluation again: it writes the file anew."
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds {type(content).__name__}; expected a JSON object.")
    return content


def read_thumbnails(path: Path) -> dict[str, bytes]:
    """Return the WebP bytes of each image; empty where there is no file.

    Raises:
        UserError: The file is no Parquet table with the columns ``id`` and ``webp``, or an image
            in it is no WebP.
    """
    if not path.is_file():
        return {}
    try:
        table = pq.read_table(path, columns=["id", "webp"])
        thumbnails = dict(zip(*(table[c].to_pylist() for c in ("id", "webp")), strict=True))
    except (pa.ArrowException, KeyError, OSError) as error:
        raise UserError(
            f"{path} cannot be read ({' '.join(str(error).split())[:200]}); expected a Parquet "
            "table with the columns id and webp. Remove the file: the report does without."
        ) from error
    for image_id, webp in thumbnails.items():
        if not isinstance(webp, bytes) or webp[:4] != b"RIFF" or webp[8:12] != b"WEBP":
            raise UserError(
                f"{path}: the thumbnail of {image_id!r} is no WebP image; remove the file and run "
                "the evaluation again."
            )
    return thumbnails


def _name_of(folder: Path, run: dict[str, Any]) -> str:
    config = run.get("config") or {}
    return str(config.get("name") or config.get("model_name_or_path") or folder.name)
