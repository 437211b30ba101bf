"""Batches of rows of one length, image tokens included.

A batch is padded to its longest row, and all processes wait for the longest batch. Images of mixed
sizes differ by a factor of ten in tokens; ``train_sampling_strategy: group_by_length`` puts rows of
one length side by side. transformers' own sampler wants token counts in a column, which a data set
of images does not have, draws from the global generator, so that a run that goes on would see
another order, and hands out each block from long to short. This one counts image tokens from the
sizes that the builder measured, or from the files' headers; it depends on seed and epoch alone and
shuffles the batches.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from datasets.fingerprint import Hasher
from numpy.typing import NDArray
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

from recipes.checks.row_files import RowFiles
from recipes.image_sizing import header_size, undecoded

Sizes = NDArray[np.int64]
CHARACTERS_PER_TOKEN = 4  # as in recipes/budget/tokens.py: an estimate will do to sort by


class LengthGroups(Sampler[int]):
    """Yields the rows in groups of ``batch_size`` of about one length, groups in random order."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        """Set the length of each row in tokens, and what the order depends on."""
        self.lengths, self.batch_size, self.seed = list(lengths), batch_size, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Set what the order depends on, with the seed."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + 1_000_003 * self.epoch)
        rows = get_length_grouped_indices(self.lengths, self.batch_size, generator=generator)
        groups = [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        # The first holds the longest row: what does not fit into memory fails at once. A last group
        # that is not full stays last.
        middle = groups[1:-1]
        order = torch.randperm(len(middle), generator=generator).tolist()
        shuffled = [groups[0], *(middle[i] for i in order), *groups[1:][-1:]]
        return (row for group in shuffled for row in group)


def measured_sizes(path: str, split: str) -> Sizes | None:
    """Return width and height of each image, shape (n, 2), as the builder measured them.

    None where there are no ``measurements/``: then every image's header has to be read, which for
    two million images embedded in Parquet means reading all of them once.
    """
    if not Path(path).is_dir():
        return None
    files = RowFiles(path, split)
    if not files.has_measurements:
        return None
    return np.concatenate([batch.sizes for batch in files.batches(["id"], None, 0)])


def row_lengths(
    rows: Dataset, processor: Any, n_processes: int = 1, sizes: Sizes | None = None
) -> list[int]:
    """Return about how many tokens each row has; images are counted, not decoded.

    Args:
        rows: With one image each where ``sizes`` are given.
        processor: Its image processor counts.
        n_processes: That read headers.
        sizes: Width and height of each row's image, if known.
    """
    rule = processor.image_processor
    # Qwen's processors count patches, InternVL's tiles.
    merged = getattr(rule, "merge_size", None)
    per_count = 1 / merged**2 if merged else processor.image_seq_length
    limits = (type(rule).__name__, repr(rule.size), getattr(rule, "max_patches", None))
    kept = [name for name in ("images", "prompt", "completion") if name in rows.column_names]
    if sizes is not None:
        kept.remove("images")
    bare = rows.select_columns(kept)
    measured = (bare if sizes is not None else undecoded(bare)).map(
        lambda row, index: {
            "length": _length(row, None if sizes is None else sizes[index], rule, per_count)
        },
        with_indices=True,
        remove_columns=kept,
        num_proc=n_processes if n_processes > 1 else None,
        new_fingerprint=Hasher.hash(("length", rows._fingerprint, limits)),
        desc="row lengths",
    )
    return measured["length"][:]


def _length(row: dict[str, Any], size: Any, rule: Any, per_count: float) -> int:
    sizes = [size.tolist()] if size is not None else [header_size(i) for i in row["images"]]
    total = 0
    for width, height in sizes:
        count = rule.get_number_of_image_patches(height, width, {"crop_to_patches": True})
        total += round(count * per_count)
    turns = [*row["prompt"], *row.get("completion", [])]
    return total + sum(len(turn["content"]) for turn in turns) // CHARACTERS_PER_TOKEN


class GroupsByLength:
    """Put before ``SFTTrainer``: its ``group_by_length`` knows images."""

    args: Any
    train_dataset: Any
    processing_class: Any
    image_sizes: Sizes | None = None  # of the train data set's rows, if they are known
    _train_lengths: list[int] | None = None

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        stock: Any = super()
        if self.args.train_sampling_strategy != "group_by_length":
            return stock._get_train_sampler(train_dataset)
        if self._train_lengths is None:
            with self.args.main_process_first(desc="row lengths"):
                n_processes = max(1, self.args.dataloader_num_workers)
                rows, processor = self.train_dataset, self.processing_class
                self._train_lengths = row_lengths(rows, processor, n_processes, self.image_sizes)
        # What all processes compute at a time; not times the accumulation, whose steps then differ.
        together = self.args.train_batch_size * self.args.world_size
        return LengthGroups(self._train_lengths, together, self.args.seed)
