"""What the filter writes of its decisions: pass rates as columns, means by bank."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, Value, concatenate_datasets

from recipes.filter_asks import Asks
from rewards.files import write_text
from rewards.wanted_mode import PASS_RATE_COLUMNS


def with_pass_rates(asks: Asks, rows: list[list[dict[str, Any]]]) -> Dataset:
    """Return the data set with the pass rates as columns, and the questions that were asked.

    The images stay where they are on the disk: only columns of text and numbers are made.
    """
    columns: dict[str, Any] = {"pass_rate": [row[0]["pass_rate"] for row in rows]}
    if len(rows[0]) > 1:
        for bank, name in PASS_RATE_COLUMNS.items():
            columns[name] = [
                next(d["pass_rate"] for d in row if d["question_bank"] == bank) for row in rows
            ]
    features = Features({name: Value("float64") for name in columns})
    dataset, own = asks.rows, [row[0]["question_bank"] for row in rows]
    order = [*dataset.column_names, *columns]
    if own != list(dataset["question_bank"]):
        asked = dataset.select_columns(
            [c for c in ("prompt", "question", "question_bank") if c in dataset.column_names]
        )
        for name in asked.column_names:
            columns[name] = list(asked[name])
            features[name] = asked.features[name]
        for index, (row, bank) in enumerate(zip(rows, dataset["question_bank"], strict=True)):
            if row[0]["question_bank"] != bank:
                changed = asks.question(row[0]["id"], row[0]["question_bank"])
                for name in asked.column_names:
                    columns[name][index] = changed[name]
        dataset = dataset.remove_columns(asked.column_names)
    added = Dataset.from_dict(columns, features=features)
    return concatenate_datasets([dataset, added], axis=1).select_columns(order)


def by_bank(decisions: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return for each bank how many rows were asked under it, how many were right, how many think.

    A pass rate under simple questions is one "without thinking" as far as the thinking rate is 0.
    """
    banks: dict[str, dict[str, float]] = {}
    for bank in sorted({decision["question_bank"] for decision in decisions}):
        of_bank = [d for d in decisions if d["question_bank"] == bank]
        means = {
            name: float(np.mean([d[name] for d in of_bank]))
            for name in ("pass_rate", "thinking_rate")
        }
        banks[bank] = {"n_rows": len(of_bank), **means}
    return banks


def write_lines(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write a JSONL file, whole or not at all."""
    write_text(path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records))
