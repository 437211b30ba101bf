"""Question against image: what decides whether the model thinks.

In Fake-HR1 the question bank alone marks a question as hard; that the image might decide is future
work (Sec. 5). The 2x2 of bank by image difficulty shows which of the two a model follows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rewards.bootstrap import estimate, ratio, ratio_difference
from rewards.breakdowns import PassRates
from rewards.judged import Judged
from rewards.labels import ALL_BANKS, QUESTION_BANKS
from rewards.sample_records import SampledRow
from rewards.sampled import Votes

EASY_PASS_RATE = 0.5
_RULES = {
    "forced_direct": "an image is easy if its answers without thinking (forced) are all right",
    "samples": f"an image is easy if at least {EASY_PASS_RATE} of its samples that do not think "
    "are right",
    "pass_rates": f"an image is easy if at least {EASY_PASS_RATE} of its samples, thinking or not, "
    "are right",
}


def easy_images(
    direct: Judged | None,
    samples: tuple[Sequence[SampledRow], Votes] | None,
    pass_rates: PassRates | None,
) -> tuple[str, dict[str, bool]] | None:
    """Return where difficulty comes from, and whether each image (id) is easy.

    The first of: forced direct answers, samples that do not think, pass rates. None without any.
    """
    right: dict[str, int] = {}
    asked: dict[str, int] = {}

    def add(row_id: str, n_right: float, n: float) -> None:
        right[row_id] = right.get(row_id, 0) + int(n_right)
        asked[row_id] = asked.get(row_id, 0) + int(n)

    if direct is not None:
        for row_id, is_right in zip(direct.id, direct.verdict == direct.label, strict=True):
            add(row_id, is_right, 1)
        return "forced_direct", {row_id: right[row_id] == n for row_id, n in asked.items()}
    if samples is not None:
        rows, votes = samples
        n_direct = votes.n_samples - votes.thinking
        n_right = votes.n_right - votes.thinking_right
        for row, r, n in zip(rows, n_right, n_direct, strict=True):
            add(row.id, r, n)
        name = "samples"
    elif pass_rates:
        for (row_id, _), (n_correct, n_samples) in pass_rates.items():
            add(row_id, n_correct, n_samples)
        name = "pass_rates"
    else:
        return None
    return name, {i: right[i] / n >= EASY_PASS_RATE for i, n in asked.items() if n}


def difficulty_table(
    judged: Judged, origin: str, easy: Mapping[str, bool], n_bootstrap: int, seed: int
) -> dict[str, Any]:
    """Return thinking rate, accuracy and tokens by bank and image difficulty.

    ``image_effect`` of a bank: thinking rate of difficult images minus that of easy ones.
    ``question_effect`` of a difficulty: thinking rate under the hard bank minus under the simple.

    Args:
        judged: All predictions.
        origin: First value of ``easy_images``.
        easy: Second value of it; images that are not in it are left out.
        n_bootstrap: Rounds of the bootstrap.
        seed: Seed of the bootstrap.
    """
    known = np.array([row_id in easy for row_id in judged.id])
    is_easy = np.array([easy.get(row_id, False) for row_id in judged.id])
    classes = {"easy": known & is_easy, "difficult": known & ~is_easy}
    banks = {bank: judged.question_bank == bank for bank in ALL_BANKS}
    banks = {bank: mask for bank, mask in banks.items() if (mask & known).any()}

    def effect(top: np.ndarray, bottom: np.ndarray) -> dict[str, Any]:
        columns = [judged.thinking & top, top, judged.thinking & bottom, bottom]
        return estimate(ratio_difference, columns, judged.unit, n_bootstrap, seed)

    ids = set(judged.id)
    return {
        "from": origin,
        "rule": _RULES[origin],
        "n_easy": sum(easy.get(row_id, False) for row_id in ids),
        "n_difficult": sum(not easy.get(row_id, True) for row_id in ids),
        "n_unknown": sum(row_id not in easy for row_id in ids),
        "cells": {
            bank: {
                name: _cell(judged, mask & in_class, n_bootstrap, seed)
                for name, in_class in classes.items()
            }
            for bank, mask in banks.items()
        },
        "image_effect": {
            bank: effect(mask & classes["difficult"], mask & classes["easy"])
            for bank, mask in banks.items()
        },
        "question_effect": {
            name: effect(banks["hard"] & in_class, banks["simple"] & in_class)
            for name, in_class in classes.items()
        }
        if set(QUESTION_BANKS) <= set(banks)
        else None,
    }


def bank_swap(judged: Judged, n_bootstrap: int, seed: int) -> dict[str, Any] | None:
    """Return what changes when an image is asked under the hard bank instead of the simple one.

    Over the images that were asked under both; None if there is none.
    """
    place = {
        bank: {judged.id[i]: i for i in np.flatnonzero(judged.question_bank == bank)}
        for bank in QUESTION_BANKS
    }
    simple, hard = (place[bank] for bank in QUESTION_BANKS)
    ids = [row_id for row_id in simple if row_id in hard]
    if not ids:
        return None
    first = judged.select(np.array([simple[row_id] for row_id in ids]))
    second = judged.select(np.array([hard[row_id] for row_id in ids]))
    right_first, right_second = first.verdict == first.label, second.verdict == second.label
    ones = np.ones(len(ids))

    def mean(values: np.ndarray) -> dict[str, Any]:
        return estimate(ratio, [values, ones], first.unit, n_bootstrap, seed)

    return {
        "n": len(ids),
        "mode_changes": mean(first.thinking != second.thinking),
        "verdict_changes": mean(first.verdict != second.verdict),
        "accuracy_change": mean(right_second * 1.0 - right_first),
        "counts": {
            "both_right": int((right_first & right_second).sum()),
            "simple_alone": int((right_first & ~right_second).sum()),
            "hard_alone": int((~right_first & right_second).sum()),
            "neither": int((~right_first & ~right_second).sum()),
        },
    }


def _cell(judged: Judged, mask: np.ndarray, n_bootstrap: int, seed: int) -> dict[str, Any]:
    part = judged.select(mask)
    n = len(part.label)
    ones = np.ones(n)

    def mean(values: np.ndarray) -> dict[str, Any]:
        return estimate(ratio, [values, ones], part.unit, n_bootstrap, seed)

    return {
        "n": n,
        "thinking_rate": mean(part.thinking),
        "accuracy": mean(part.verdict == part.label),
        "mean_completion_tokens": mean(part.n_tokens),
    }
