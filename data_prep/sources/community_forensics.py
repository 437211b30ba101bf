"""Community Forensics (Park and Owens, CVPR 2025): Parquet shards that hold the image files.

``data/<part>-00000-of-00413.parquet`` with the columns of the authors' card: image_data (the
file's bytes), label (1 = fake, 0 = real), model_name, real_source, architecture and others. Parts
are ``CompEval`` (the set "Eval") and ``PublicEval`` for evaluation, ``Systematic``, ``Manual``,
``Commercial`` and ``train`` for training.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.items import Dropped, Item
from data_prep.sources.image_files import check_folder
from rewards.errors import UserError

EVALUATION_PARTS = ("CompEval", "PublicEval")
IMAGE_COLUMN = "image_data"
LABELS = {0: "real", 1: "fake"}
TEXT_COLUMNS = ("model_name", "real_source", "architecture")


def read_community_forensics(
    root: Path, split: str, *, parts: Sequence[str] | None = None
) -> Iterator[Item | Dropped]:
    """Yield every row of the chosen parts; image bytes are not read here.

    Evaluation rows that are real carry the name of the model they are paired with: it is not their
    generator. ``source`` is the real data set of the pair, so that each has both labels.

    Args:
        root: The downloaded repository, or its ``data`` folder.
        split: "test" reads ``EVALUATION_PARTS``, any other all other parts.
        parts: Names of parts (what stands before the shard's number) to read instead.

    Raises:
        UserError: No shard is found, none of the wanted part, a shard is no Parquet file or lacks a
            column, or a label is neither 0, 1 nor missing.
    """
    check_folder(root, "Community Forensics")
    folder = root / "data" if (root / "data").is_dir() else root
    for shard in _shards(folder, split, parts):
        try:
            with pq.ParquetFile(shard) as file:
                yield from _rows(file, shard, folder)
        except pa.ArrowInvalid as error:
            raise UserError(
                f"Community Forensics: {shard} is no whole Parquet file ({error}); download it "
                "again."
            ) from error


def _shards(folder: Path, split: str, parts: Sequence[str] | None) -> list[Path]:
    """Return the shards of the wanted parts, in order."""
    by_part: dict[str, list[Path]] = {}
    for shard in sorted(folder.rglob("*.parquet")):
        by_part.setdefault(shard.name.split("-")[0], []).append(shard)
    if not by_part:
        raise UserError(
            f"Community Forensics: no *.parquet below {folder}; download the data set's repository."
        )
    if parts is None:
        parts = [part for part in by_part if (part in EVALUATION_PARTS) == (split == "test")]
    wanted = [shard for part in parts for shard in by_part.get(part, [])]
    if not wanted or not set(parts) <= set(by_part):
        expected = " or ".join(EVALUATION_PARTS) if split == "test" else "a part for training"
        raise UserError(
            f"Community Forensics: {folder} holds the parts {sorted(by_part)}; expected "
            f"{list(parts) or expected}. Choose with --community_forensics_parts."
        )
    return wanted


def _rows(file: pq.ParquetFile, shard: Path, folder: Path) -> Iterator[Item | Dropped]:
    columns = file.schema_arrow.names
    missing = [column for column in (IMAGE_COLUMN, "label") if column not in columns]
    if missing:
        raise UserError(
            f"Community Forensics: {shard} lacks the columns {missing}: it has {columns}."
        )
    read = ["label", *(column for column in TEXT_COLUMNS if column in columns)]
    row = 0
    for batch in file.iter_batches(batch_size=16_384, columns=read):
        for values in batch.to_pylist():
            where = f"{shard.relative_to(folder).as_posix()}#{row}"
            yield _item(values, shard, row, where)
            row += 1


def _item(values: dict[str, Any], shard: Path, row: int, where: str) -> Item | Dropped:
    name = f"community_forensics/{where}"
    if values["label"] is None:
        return Dropped(name, str(shard), "no label")
    label = LABELS.get(values["label"])
    if label is None:
        raise UserError(
            f"Community Forensics: {where}: unknown label {values['label']!r}; expected 1 (fake) "
            "or 0 (real)."
        )
    return Item(
        id=name,
        path=shard,
        label=label,
        source=_text(values.get("real_source")).lower() or "community_forensics",
        generator="camera" if label == "real" else (_text(values.get("model_name")) or "unknown"),
        category=_text(values.get("architecture")) or "unknown",
        row=row,
        column=IMAGE_COLUMN,
    )


def _text(value: object) -> str:
    """Return what is told; "" for nothing, and for the card's "N/A"."""
    text = str(value or "").strip()
    return "" if text.lower() == "n/a" else text
