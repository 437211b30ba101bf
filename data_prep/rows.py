"""One row of the project's data sets, the same for every source of images."""

from typing import Any

from datasets import Features, Image, Sequence, Value

from data_prep.prompts import Prompts
from rewards import render_answer

_TURN = {"role": Value("string"), "content": Value("string")}

ROW_FEATURES = Features(
    {
        "id": Value("string"),
        "images": Sequence(Image(mode="RGB")),
        "prompt": [_TURN],
        "completion": [_TURN],
        "label": Value("string"),
        "question_bank": Value("string"),
        "question": Value("string"),
        "source": Value("string"),
        "generator": Value("string"),
        "category": Value("string"),
    }
)


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
