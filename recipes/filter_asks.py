"""What the filter asks of each image, and what the shards have answered so far."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset

from data_prep.prompts import Prompts, stable_integer
from recipes.eval_asks import Shard
from recipes.partial import read_partial
from rewards import NEUTRAL_BANK, QUESTION_BANKS

Key = tuple[str, str]  # a row's id and a bank


@dataclass(frozen=True)
class Asks:
    """Rows times banks, image by image; a row is read when it is asked.

    Attributes:
        rows: The rows as they are in the data set.
        pairs: Index of a row and the bank of the question, in the rows' order.
        prompts: Where questions of other banks than the row's own come from.
        seed: With a row's id it decides that question.
    """

    rows: Dataset
    pairs: Sequence[tuple[int, str]]
    prompts: Prompts
    seed: int

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row_index, bank = self.pairs[index]
        row = self.rows[row_index]
        return row if row["question_bank"] == bank else {**row, **self.question(row["id"], bank)}

    def question(self, row_id: str, bank: str) -> dict[str, Any]:
        """Return the columns of a row that is asked under ``bank``."""
        question = self.prompts.question(bank, row_id, self.seed)
        prompt = self.prompts.messages(question)
        return {"prompt": prompt, "question": question, "question_bank": bank}

    def keys(self) -> list[Key]:
        """Return id and bank of each."""
        ids = self.rows["id"]
        return [(ids[index], bank) for index, bank in self.pairs]

    def part(self, shard: Shard, answered: set[Key]) -> "Asks":
        """Return a shard's asks, every n-th row with all its banks, less those answered."""
        pairs = [
            pair
            for pair, key in zip(self.pairs, self.keys(), strict=True)
            if pair[0] % shard.count == shard.index and key not in answered
        ]
        return Asks(self.rows, pairs, self.prompts, self.seed)


def own_banks(rows: Dataset, neutral_share: float, seed: int) -> list[str]:
    """Return the bank of each row's own question: the row's, or the neutral one for a share."""
    below = neutral_share * 2**64
    return [
        NEUTRAL_BANK if stable_integer(f"{seed}/neutral/{row_id}") < below else bank
        for row_id, bank in zip(rows["id"], rows["question_bank"], strict=True)
    ]


def make_asks(
    rows: Dataset, own: Sequence[str], measure_both: bool, prompts: Prompts, seed: int
) -> Asks:
    """Return every row under its own bank and, if both are measured, under the two of the paper."""
    pairs = []
    for index, bank in enumerate(own):
        banks = dict.fromkeys((bank, *(QUESTION_BANKS if measure_both else ())))
        pairs += [(index, name) for name in banks]
    return Asks(rows, pairs, prompts, seed)


def shard_files(folder: Path) -> list[Path]:
    """Return the files that shards have written, of this division or of an earlier one."""
    return sorted(folder.glob("*-of-*.jsonl"))


def answered_elsewhere(folder: Path, own_file: Path) -> set[Key]:
    """Return what other files than a shard's own hold; other processes may be writing to them."""
    return {
        (record["id"], record["question_bank"])
        for path in shard_files(folder)
        if path != own_file
        for record in read_partial(path, cut=False)
    }


def merged(folder: Path, asks: Asks) -> list[dict[str, Any]] | None:
    """Return a record for each ask in the asks' order, or None while some are missing."""
    by_key = {(r["id"], r["question_bank"]): r for r in _all_records(folder)}
    keys = asks.keys()
    return [by_key[key] for key in keys] if by_key.keys() >= set(keys) else None


def _all_records(folder: Path) -> Iterator[dict[str, Any]]:
    for path in shard_files(folder):
        yield from read_partial(path, cut=False)
