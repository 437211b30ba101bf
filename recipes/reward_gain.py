"""How much RL raised the mean reward on the RL set: before and after, on the same rows.

Both policies sample every row of the set that the filter read, those it dropped included: on the
kept rows alone the first policy would look worse than it is, since its failures chose them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recipes.partial import read_partial
from rewards import accuracy_reward, format_reward, hybrid_reward
from rewards.bootstrap import interval, resampled_sums, sum_by_unit
from rewards.errors import UserError

REWARDS: tuple[Any, ...] = (accuracy_reward, format_reward, hybrid_reward)


def mean_rewards(records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the mean of each reward over all samples of all rows."""
    texts = [text for record in records for text in record["completions"]]
    columns = {
        name: [record[name] for record in records for _ in record["completions"]]
        for name in ("label", "question_bank")
    }
    return {reward.__name__: float(np.mean(reward(texts, **columns))) for reward in REWARDS}


def row_rewards(record: dict[str, Any], weights: Sequence[float]) -> float:
    """Return the weighted reward (Eq. 3) of a row, averaged over its samples."""
    texts = record["completions"]
    label = [record["label"]] * len(texts)
    bank = [record["question_bank"]] * len(texts)
    parts = [np.mean(reward(texts, label=label, question_bank=bank)) for reward in REWARDS]
    return float(np.dot(weights, parts))


def reward_gain(
    before: Path, after: Path, weights: Sequence[float], units: dict[str, str], seed: int = 0
) -> dict[str, Any]:
    """Return the mean reward before and after, their difference and its 95 % interval.

    Args:
        before: ``samples.jsonl`` of the filter on the policy that RL starts from.
        after: The same of the policy that RL ends with.
        weights: Of accuracy, format and hybrid reward.
        units: What the bootstrap draws (the demo: photographs), by row id.
        seed: Of the bootstrap.

    Raises:
        UserError: The two files do not hold the same rows.
    """
    rewards = [
        {(r["id"], r["question_bank"]): row_rewards(r, weights) for r in read_partial(path)}
        for path in (before, after)
    ]
    if rewards[0].keys() != rewards[1].keys() or not rewards[0]:
        raise UserError(
            f"{before} and {after} hold different rows; sample the same data set twice."
        )
    keys = sorted(rewards[0])
    first, second = (np.array([reward[key] for key in keys]) for reward in rewards)
    unit = np.array([units[row_id] for row_id, _ in keys])
    sums = sum_by_unit(unit, second - first, np.ones(len(keys)))
    totals = resampled_sums(sums, 1000 if len(sums) > 1 else 0, seed)
    return {
        "before": float(first.mean()),
        "after": float(second.mean()),
        "difference": float((second - first).mean()),
        "ci95": interval(totals[:, 0] / totals[:, 1]),
        "n_rows": len(keys),
    }
