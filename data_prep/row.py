"""How a row is laid out and made, without ``datasets``, whose import takes seconds a process."""

import json
from typing import Any

import pyarrow as pa

from data_prep.prompts import Prompts
from rewards import render_answer

_TEXT_COLUMNS = ("label", "question_bank", "question", "source", "generator", "category")


def _row_schema() -> pa.Schema:
    """Return the Arrow schema, with the types that ``datasets`` reads from its metadata."""
    text = {"dtype": "string", "_type": "Value"}
    turns = {"feature": {"role": text, "content": text}, "_type": "List"}
    features = {
        "id": text,
        "images": {"feature": {"mode": "RGB", "_type": "Image"}, "_type": "List"},
        "prompt": turns,
        "completion": turns,
        **dict.fromkeys(_TEXT_COLUMNS, text),
    }
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    arrow_types = {
        "images": pa.list_(image),
        "prompt": pa.list_(turn),
        "completion": pa.list_(turn),
    }
    columns = [(name, arrow_types.get(name, pa.string())) for name in features]
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(columns, metadata=metadata)


ROW_SCHEMA = _row_schema()


def make_row(
    *,
    row_id: str,
    image: dict[str, Any],
    label: str,
    question_bank: str,
    reasoning: str,
    source: str,
    generator: str,
    category: str,
    prompts: Prompts,
    seed: int,
) -> dict[str, Any]:
    """Return a row: a direct one for the simple bank, a reasoning one for the hard bank (Sec. 3).

    Args:
        row_id: Unique in its data set; with ``seed`` it decides the question.
        image: ``{"bytes": …, "path": …}`` as ``datasets.Image`` takes it.
        label: "real" or "fake".
        question_bank: "simple" or "hard".
        reasoning: What the gold completion reasons; used by hard rows only.
        source: Where the image comes from.
        generator: What made it; "camera" for a real one.
        category: A class of images within the set.
        prompts: System prompt and question banks.
        seed: Seed of the data set.
    """
    question = prompts.question(question_bank, row_id, seed)
    answer = render_answer(label, reasoning if question_bank == "hard" else "")
    return {
        "id": row_id,
        "images": [image],
        "prompt": prompts.messages(question),
        "completion": [{"role": "assistant", "content": answer}],
        "label": label,
        "question_bank": question_bank,
        "question": question,
        "source": source,
        "generator": generator,
        "category": category,
    }
