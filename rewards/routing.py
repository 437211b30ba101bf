"""Whether the model thinks where thinking helps: hybrid accuracy and routing regret.

Both need the answers with the mode forced: ``forced_direct.jsonl`` (an empty think block is put in
the model's mouth) and ``forced_think.jsonl`` (a think block is opened). The paper has neither.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rewards.bootstrap import estimate, interval, ratio, resampled_sums, sum_by_unit
from rewards.judged import Judged
from rewards.labels import ALL_BANKS
from rewards.pairing import common_rows

_COLUMNS = ("routed", "direct", "think", "oracle")


def routing(
    free: Judged, direct: Judged, think: Judged, n_bootstrap: int, seed: int
) -> dict[str, Any]:
    """Return ``routing_metrics`` of each bank under which all three were asked.

    Args:
        free: Answers of the model's own mode.
        direct: Answers to the same questions without thinking, by force.
        think: Answers with thinking, by force.
        n_bootstrap: Rounds of the bootstrap.
        seed: Seed of the bootstrap.
    """
    (free_rows, direct_rows, think_rows), counts = common_rows([free, direct, think])
    aligned = [
        free.select(free_rows),
        direct.select(direct_rows),
        think.select(think_rows),
    ]
    banks = [bank for bank in ALL_BANKS if (aligned[0].question_bank == bank).any()]
    result: dict[str, Any] = {
        "n_common": counts.n_common,
        "n_left_out": counts.n_left_out,
        "n_forced_direct_that_think": int(aligned[1].thinking.sum()),
        "n_forced_think_that_do_not": int((~aligned[2].thinking).sum()),
    }
    for bank in banks:
        mask = aligned[0].question_bank == bank
        result[bank] = routing_metrics(*(part.select(mask) for part in aligned), n_bootstrap, seed)
    return result


def routing_metrics(
    free: Judged, direct: Judged, think: Judged, n_bootstrap: int, seed: int
) -> dict[str, Any]:
    """Return how well the model's own choice of mode does; the three are row by row the same.

    * ``accuracy``: of the model's own choice (``routed``), of either mode forced, and of the
      ``oracle``, which takes for each image the mode that is right (the best of both).
    * ``regret``: oracle minus routed. A free answer can be right where both forced ones are wrong,
      so that an image may count -1.
    * ``gain_over_best_mode``: routed minus the better of the two forced modes.
    * ``hybrid_accuracy`` (HAcc of LHRM, arXiv:2505.14631, with one greedy answer a mode): the share
      of images on which the model chose the better mode: the one that is right, and if both are or
      neither is, the one with fewer tokens (direct if equal).
    * ``hybrid_accuracy_where_it_matters``: the same over the images on which one mode alone is
      right.
    * ``token_saving``: 1 - tokens of the model's own choice / tokens of always thinking.
    """
    right = {
        "routed": free.verdict == free.label,
        "direct": direct.verdict == direct.label,
        "think": think.verdict == think.label,
    }
    right["oracle"] = right["direct"] | right["think"]
    shorter_thinks = think.n_tokens < direct.n_tokens
    one_right = right["direct"] != right["think"]
    should_think = np.where(one_right, right["think"], shorter_thinks)
    tokens = {
        "routed": free.n_tokens,
        "direct": direct.n_tokens,
        "think": think.n_tokens,
        "oracle": np.where(should_think, think.n_tokens, direct.n_tokens),
    }
    chosen = free.thinking == should_think
    ones = np.ones(len(chosen))

    def mean(values: np.ndarray, weights: np.ndarray = ones) -> dict[str, Any]:
        return estimate(ratio, [values * weights, weights], free.unit, n_bootstrap, seed)

    return {
        "n": len(chosen),
        "n_samples_per_mode": 1,
        "accuracy": {name: mean(right[name]) for name in _COLUMNS},
        "mean_completion_tokens": {name: float(tokens[name].mean()) for name in _COLUMNS},
        "token_saving": estimate(
            lambda ours, theirs: 1 - ours / theirs,
            [free.n_tokens, think.n_tokens],
            free.unit,
            n_bootstrap,
            seed,
        ),
        "regret": mean(right["oracle"] * 1.0 - right["routed"]),
        "gain_over_best_mode": _gain_over_best(right, free.unit, n_bootstrap, seed),
        "hybrid_accuracy": mean(chosen),
        "hybrid_accuracy_where_it_matters": mean(chosen, one_right * 1.0),
        "counts": {
            "both_right": int((right["direct"] & right["think"]).sum()),
            "direct_alone": int((right["direct"] & ~right["think"]).sum()),
            "think_alone": int((~right["direct"] & right["think"]).sum()),
            "neither": int((~right["oracle"]).sum()),
        },
        "thinking_rate": mean(free.thinking),
        "thinking_rate_where_think_alone_is_right": mean(
            free.thinking, (~right["direct"] & right["think"]) * 1.0
        ),
        "thinking_rate_where_direct_alone_is_right": mean(
            free.thinking, (right["direct"] & ~right["think"]) * 1.0
        ),
    }


def _gain_over_best(
    right: Mapping[str, np.ndarray], unit: np.ndarray, n_bootstrap: int, seed: int
) -> dict[str, Any]:
    """Return routed minus the better forced mode; which one that is, a round decides anew."""
    columns = [right[name] for name in ("routed", "direct", "think")]
    sums = sum_by_unit(unit, *columns, np.ones(len(unit)))
    rounds = resampled_sums(sums, n_bootstrap if len(sums) > 1 else 0, seed)
    routed, first, second, n = rounds.T
    better = max(right["direct"].mean(), right["think"].mean())
    return {
        "value": float(right["routed"].mean() - better),
        "ci95": interval((routed - np.maximum(first, second)) / n),
    }
