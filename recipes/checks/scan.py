"""Look at every row of a data set: labels, gold answers, tokens. Bounded memory, millions of rows.

Equal texts of a batch are looked at once: direct answers and prompts are few, so that the time goes
into the reasoning answers alone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from recipes.budget.tokens import Counts, TextRule, Turns
from recipes.checks.row_files import Batch, RowFiles
from rewards import ALL_BANKS, LABELS, NEUTRAL_BANK, HybridReward, accuracy_reward, format_reward
from rewards.completions import completion_text

N_EXAMPLES = 3


@dataclass
class Scan:
    """What the rows hold.

    Attributes:
        n_rows: Rows looked at.
        labels: Rows by label, unknown ones included.
        banks: Rows by question bank, unknown ones included.
        faults: Gold answers that score wrong, by what is wrong.
        examples: Up to three of each fault.
        prompt_tokens: Of each row, image tokens not included; empty without prompts.
        answer_tokens: Of each row's gold answer; empty where there are none.
        sizes: Width and height of each row's image, 0 where it was not read; shape (n, 2).
    """

    n_rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    banks: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    prompt_tokens: Counts = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    answer_tokens: Counts = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))

    @property
    def known_sizes(self) -> NDArray[np.bool_]:
        """Return which rows' image sizes were read."""
        return self.sizes[:, 0] > 0


class Scanner:
    """Goes through the rows once."""

    def __init__(self, rule: TextRule) -> None:
        """Count with ``rule``."""
        self._rule = rule
        self._prompts: dict[Turns, int] = {}
        self._hybrid = HybridReward()

    def scan(self, rows: RowFiles, max_rows: int | None, max_images: int) -> Scan:
        """Return what the rows hold; columns that the data set lacks are passed over."""
        wanted = ("prompt", "completion", "label", "question_bank")
        columns = [column for column in wanted if column in rows.column_names]
        result, parts = Scan(), {"prompt": [], "answer": [], "sizes": []}
        total = min(rows.n_rows, max_rows or rows.n_rows)
        with tqdm(total=total, desc=f"rows of {rows.path}", leave=False) as progress:
            for batch in rows.batches(columns, max_rows, max_images):
                self._look(batch, columns, result, parts)
                progress.update(batch.table.num_rows)
        if parts["prompt"]:
            result.prompt_tokens = np.concatenate(parts["prompt"])
        if parts["answer"]:
            result.answer_tokens = np.concatenate(parts["answer"])
        result.sizes = np.concatenate(parts["sizes"])
        return result

    def _look(
        self, batch: Batch, columns: Sequence[str], result: Scan, parts: dict[str, list]
    ) -> None:
        table = batch.table
        result.n_rows += table.num_rows
        parts["sizes"].append(batch.sizes)
        for column, counter in (("label", result.labels), ("question_bank", result.banks)):
            if column in columns:
                for count in table[column].value_counts().to_pylist():
                    counter[str(count["values"])] += count["counts"]
        if "prompt" in columns:
            parts["prompt"].append(self._prompt_tokens(table["prompt"]))
        if "completion" in columns:
            texts, index = last_turns(table["completion"])
            counts = self._rule.answers(texts)
            parts["answer"].append(counts[index])
            if {"label", "question_bank"} <= set(columns):
                self._score(table, texts, index, result)

    def _prompt_tokens(self, column: pa.ChunkedArray) -> Counts:
        keys, index = unique_conversations(column)
        for key in keys:
            if key not in self._prompts:
                self._prompts[key] = self._rule.prompt(key)
        return np.array([self._prompts[key] for key in keys], dtype=np.int64)[index]

    def _score(
        self, table: pa.Table, texts: list[str], index: NDArray[np.int64], result: Scan
    ) -> None:
        """Judge each different row by the rewards that judge completions."""
        labels, label_codes = encode(table["label"])
        banks, bank_codes = encode(table["question_bank"])
        codes = np.stack([index, label_codes, bank_codes], axis=1)
        different, n_equal = np.unique(codes, axis=0, return_counts=True)
        for (text_code, label_code, bank_code), n in zip(different, n_equal, strict=True):
            text, label, bank = texts[text_code], labels[label_code], banks[bank_code]
            if label not in LABELS or bank not in ALL_BANKS:
                continue  # reported with the labels and banks
            for fault in gold_faults(self._hybrid, text, label, bank):
                result.faults[fault] += int(n)
                seen = result.examples.setdefault(fault, [])
                if len(seen) < N_EXAMPLES:
                    seen.append(f"{text[:60]!r} ({label}, {bank})")


def gold_faults(hybrid: HybridReward, text: str, label: str, bank: str) -> list[str]:
    """Return which rewards a gold answer does not earn; empty for a good one."""
    faults = []
    if accuracy_reward([text], label=[label]) != [1.0]:
        faults.append("accuracy reward below 1")
    if format_reward([text]) != [1.0]:
        faults.append("format reward below 1")
    if bank != NEUTRAL_BANK and hybrid([text], question_bank=[bank], label=[label]) != [1.0]:
        faults.append(f"hybrid reward of the {bank} bank below 1")
    return faults


def encode(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """Return the different values of a column and each row's index into them."""
    encoded = column.combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    return [str(value) for value in encoded.dictionary.to_pylist()], codes.astype(np.int64)


def last_turns(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """Return the different texts of the conversations' last turns and each row's index into them.

    An empty conversation has the text "", which no reward takes for an answer.
    """
    lists = column.combine_chunks()
    if not pa.types.is_struct(lists.type.value_type):  # blocks of content, or plain strings
        texts = [completion_text(value) for value in lists.to_pylist()]
        different = list(dict.fromkeys(texts))
        place = {text: number for number, text in enumerate(different)}
        return different, np.array([place[text] for text in texts], dtype=np.int64)
    offsets = lists.offsets.to_numpy()
    empty = np.diff(offsets) == 0
    last = pa.array(np.where(empty, 0, offsets[1:] - 1), mask=empty)
    chosen = lists.values.field("content").take(last).fill_null("")
    return encode(pa.chunked_array([chosen]))


def unique_conversations(column: pa.ChunkedArray) -> tuple[list[Turns], NDArray[np.int64]]:
    """Return the different conversations and each row's index into them."""
    lists = column.combine_chunks()
    offsets = lists.offsets.to_numpy().astype(np.int64)
    lengths = np.diff(offsets)
    roles, role_codes = encode(pa.chunked_array([lists.values.field("role")]))
    contents, content_codes = encode(pa.chunked_array([lists.values.field("content")]))
    # One row of codes a conversation, filled with -1 up to the longest.
    codes = np.full((len(lengths), 2 * int(lengths.max(initial=0))), -1, dtype=np.int64)
    for turn in range(codes.shape[1] // 2):
        there = lengths > turn
        place = offsets[:-1][there] + turn
        codes[there, 2 * turn] = role_codes[place]
        codes[there, 2 * turn + 1] = content_codes[place]
    different, index = np.unique(codes, axis=0, return_inverse=True)
    conversations: list[Turns] = [
        tuple(
            (roles[role], contents[content])
            for role, content in zip(row[::2], row[1::2], strict=True)
            if role >= 0
        )
        for row in different
    ]
    return conversations, index.reshape(-1).astype(np.int64)
