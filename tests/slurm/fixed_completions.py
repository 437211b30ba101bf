"""GRPO with completions that follow from prompt and place in the group; nothing is sampled.

Each process samples with random numbers of its own, so runs on one node and on two draw different
completions and cannot be compared; with these they can. The rest is the recipe's command line.
"""

import random
from typing import Any

from recipes import grpo
from rewards.errors import run_cli

TEXTS = [
    "<think></think>real",
    "<think></think>fake",
    "<think>\nThe edges are soft and the grain is even.\n</think>fake",
    "<think>\nThe grain is even.\n</think>real",
    "real",
]


def _fixed(
    self: Any, prompt_ids: list[list[int]], *args: Any, **kwargs: Any
) -> tuple[list[list[int]], None]:
    tokenizer = self.processing_class.tokenizer
    completions = []
    for place, ids in enumerate(prompt_ids):
        draw = random.Random(f"{sum(ids)} {len(ids)} {place % self.num_generations}")
        completions.append([*tokenizer(draw.choice(TEXTS)).input_ids, tokenizer.eos_token_id])
    return completions, None


if __name__ == "__main__":
    grpo.HybridGRPOTrainer._generate_single_turn = _fixed  # pyright: ignore
    run_cli(grpo.main)
