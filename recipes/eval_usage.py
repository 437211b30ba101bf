"""The tokens that an evaluation read and wrote, counted from its files of answers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipes.eval_asks import Ask
from rewards.files import write_json


def write_usage(folder: Path, asks: Sequence[Ask]) -> None:
    """Write ``usage.json``: questions, prompt and completion tokens, of each file and in all.

    Prompt tokens count the image's; they are null where an endpoint does not tell them. A question
    that is sampled several times counts its prompt once.
    """
    usage: dict[str, dict[str, Any]] = {}
    for ask in asks:
        with (folder / ask.file).open(encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
        prompts = [record.get("n_prompt_tokens") for record in records]
        lengths = [record["n_completion_tokens"] for record in records]
        usage[ask.file] = {
            "n_questions": len(records),
            "n_prompt_tokens": None if None in prompts else sum(prompts),
            "n_completion_tokens": sum(n if isinstance(n, int) else sum(n) for n in lengths),
        }
    total = {key: [counts[key] for counts in usage.values()] for key in next(iter(usage.values()))}
    usage["total"] = {k: None if None in counts else sum(counts) for k, counts in total.items()}
    write_json(folder / "usage.json", usage)
    print("tokens: " + ", ".join(f"{key} {n}" for key, n in usage["total"].items()))
