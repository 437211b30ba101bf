"""The text columns of a set: which question each row asks, how long its reasoning is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from data_prep.audit.corpus import Corpus
from data_prep.audit.measurements import reasoning_of
from rewards.errors import UserError

BATCH_ROWS = 4096
COLUMNS = ("question", "prompt", "completion")


@dataclass(frozen=True)
class Texts:
    """What is written in the rows of the audited set.

    Attributes:
        unit: "tokens" of the named tokenizer, or "words".
        question: Each row's question, or None where the set has no such column.
        reasoning_length: Of each row, in ``unit``, int64 [n]; 0 for a direct answer.
        text_length: Of prompt and completion without the image, in tokens, int64 [n]; None without
            a tokenizer.
    """

    unit: str
    question: pa.ChunkedArray | None
    reasoning_length: np.ndarray
    text_length: np.ndarray | None


def read_texts(corpus: Corpus, tokenizer: str | None) -> Texts:
    """Read the texts of the audited set; images are not touched.

    Raises:
        UserError: The tokenizer cannot be loaded.
    """
    own = corpus.set_number == 0
    words = corpus.numbers("reasoning_words")[own].astype(np.int64)
    folder = corpus.folders[0]
    question = None
    if all("question" in shard.columns for shard in folder.shards):
        # As a dictionary: a bank's few sentences are kept once, not two million times.
        columns = [
            pq.read_table(shard.path, columns=["question"], read_dictionary=["question"])
            for shard in folder.shards
        ]
        question = pa.concat_tables(columns)["question"].unify_dictionaries()
    if tokenizer is None:
        return Texts("words", question, words, None)
    count = _counter(tokenizer)
    reasoning: list[int] = []
    text: list[int] = []
    with tqdm(total=folder.n_rows, desc="counting tokens", unit=" rows") as progress:
        for rows in _batches(corpus):
            reasoning += count([reasoning_of(row) for row in rows])
            text += count([_all_text(row) for row in rows])
            progress.update(len(rows))
    return Texts(f"tokens of {tokenizer}", question, np.array(reasoning), np.array(text))


def _batches(corpus: Corpus) -> Iterator[list[dict[str, Any]]]:
    for shard in corpus.folders[0].shards:
        wanted = [name for name in COLUMNS if name in shard.columns]
        with pq.ParquetFile(shard.path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=wanted or ["label"]):
                yield batch.to_pylist()


def _all_text(row: dict[str, Any]) -> str:
    turns = [
        turn for name in ("prompt", "completion") for turn in row.get(name) or () if row.get(name)
    ]
    return "\n".join(turn["content"] if isinstance(turn, dict) else str(turn) for turn in turns)


def _counter(tokenizer: str) -> Callable[[list[str]], list[int]]:
    from transformers import AutoTokenizer  # seconds to import, and not always wanted

    try:
        loaded = AutoTokenizer.from_pretrained(tokenizer)
    except (OSError, ValueError) as error:
        raise UserError(
            f"tokenizer {tokenizer} cannot be loaded ({str(error).splitlines()[0]}); name a "
            "checkpoint folder or a hub id, or leave --tokenizer out to count words."
        ) from error
    return lambda texts: [len(ids) for ids in loaded(texts, add_special_tokens=False)["input_ids"]]
