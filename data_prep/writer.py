"""Write a Hugging Face data set folder: Parquet shards and a card, whole or not at all."""

import hashlib
import os
import shutil
from collections import Counter
from pathlib import Path

from datasets import Dataset

from data_prep.card import (
    COUNTED_COLUMNS,
    MANIFEST_COLUMNS,
    SplitSummary,
    render_card,
    update_manifest,
)
from data_prep.folders import replace_folder


def write_datasets(
    splits: dict[str, Dataset],
    output_dir: str | Path,
    *,
    title: str,
    description: str,
    command: str,
    rows_per_shard: int = 50_000,
) -> None:
    """Write ``splits`` so that ``datasets.load_dataset(output_dir)`` gives them back.

    Everything is written into a folder beside ``output_dir``, which then takes its place in one
    rename: a killed build leaves the old folder or none, never half of a new one.

    Args:
        splits: Split name to rows.
        output_dir: Folder to write; one that is there is replaced.
        title: Heading of the data set card.
        description: Markdown for the card: what the rows are, their licences.
        command: The command that makes this data set again.
        rows_per_shard: Rows in one Parquet file at most.
    """
    output_dir = Path(output_dir)
    building = output_dir.with_name(f".{output_dir.name}.building-{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    (building / "data").mkdir(parents=True)
    try:
        for split, dataset in splits.items():
            n_shards = max(1, -(-len(dataset) // rows_per_shard))
            for index in range(n_shards):
                shard = dataset.shard(num_shards=n_shards, index=index, contiguous=True)
                name = f"{split}-{index:05d}-of-{n_shards:05d}.parquet"
                shard.to_parquet(building / "data" / name)
        card = dataset_card(
            splits,
            title=title,
            description=description,
            command=command,
            content=content_hash(building / "data"),
        )
        (building / "README.md").write_text(card, encoding="utf-8")
        replace_folder(building, output_dir)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def manifest_hash(dataset: Dataset) -> str:
    """Return a hash of the rows' ids, labels and questions, in order."""
    digest = hashlib.sha256()
    columns = [column for column in MANIFEST_COLUMNS if column in dataset.column_names]
    update_manifest(digest, zip(*(dataset[column] for column in columns), strict=True))
    return digest.hexdigest()[:16]


def content_hash(folder: Path) -> str:
    """Return a hash of every byte of the files in ``folder``."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def dataset_card(
    splits: dict[str, Dataset], *, title: str, description: str, command: str, content: str
) -> str:
    """Return the README.md of a data set whose rows are in memory; see ``render_card``."""
    summaries = {
        split: SplitSummary(
            n_rows=len(dataset),
            manifest_hash=manifest_hash(dataset),
            counts={
                column: Counter(dataset[column])
                for column in COUNTED_COLUMNS
                if column in dataset.column_names
            },
        )
        for split, dataset in splits.items()
    }
    return render_card(
        summaries, title=title, description=description, command=command, content=content
    )
