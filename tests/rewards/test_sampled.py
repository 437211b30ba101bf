from itertools import combinations

import numpy as np
import pytest

from rewards.sample_records import SampledRow
from rewards.sampled import count_votes, sampled_metrics

TEXTS = {"r": "<think></think>real", "f": "<think></think>fake", "-": "no idea"}


def rows(*samples: str) -> list[SampledRow]:
    """Return rows of real images; r: real, f: fake, -: unparsed."""
    return [
        SampledRow(str(i), "simple", "real", [TEXTS[c] for c in text], [5] * len(text))
        for i, text in enumerate(samples)
    ]


def metrics_of(*samples: str, n_bootstrap: int = 0) -> dict:
    made = rows(*samples)
    return sampled_metrics(made, count_votes(made), {}, n_bootstrap, 0)["all"]


def test_by_hand():
    result = metrics_of("rrrr", "rrff", "rff-", "r---")
    assert result["pass_rate"]["value"] == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 4) / 4)
    assert result["n_by_right_answers"] == [0, 2, 1, 0, 1]
    # majority: right; tie; fake, wrong; one vote, right
    assert result["majority"]["value"] == 2 / 4
    assert (result["n_ties"], result["n_without_vote"]) == (1, 0)
    # pairs of 6 that agree: 6; 1 + 1; 1 (ff); 3 (---)
    assert result["agreement"]["value"] == pytest.approx((6 + 2 + 1 + 3) / 24)
    # pass@2 = 1 - C(4 - c, 2) / 6: 1; 1 - 1/6; 1 - 3/6; 1 - 3/6
    assert result["pass_at_k"]["2"]["value"] == pytest.approx((1 + 5 / 6 + 1 / 2 + 1 / 2) / 4)
    assert result["pass_at_k"]["1"]["value"] == pytest.approx(result["pass_rate"]["value"])
    assert result["pass_at_k"]["4"]["value"] == 1


def test_pass_at_k_is_the_share_of_subsets_with_a_right_answer():
    sample = "rrfff-"
    subsets = list(combinations(sample, 4))
    expected = np.mean(["r" in subset for subset in subsets])
    assert metrics_of(sample)["pass_at_k"]["4"]["value"] == pytest.approx(expected)


def test_no_vote_is_no_answer():
    result = metrics_of("--", "rf")
    assert result["majority"]["value"] == 0
    assert (result["n_ties"], result["n_without_vote"]) == (1, 1)


def test_one_sample_has_no_agreement():
    result = metrics_of("r", "f")
    assert result["agreement"] is None
    assert result["fleiss_kappa"] is None
    assert result["pass_rate"]["value"] == result["majority"]["value"] == 1 / 2


def test_rows_of_different_numbers_of_samples():
    result = metrics_of("rr", "rfff")
    assert result["samples_per_row"] == [2, 4]
    assert result["n_by_right_answers"] is None
    assert set(result["pass_at_k"]) == {"1", "2"}


def test_agreement_beyond_chance():
    assert metrics_of("rrr", "fff")["fleiss_kappa"] == pytest.approx(1)
    assert metrics_of("rrr", "rrr")["fleiss_kappa"] is None  # chance alone would agree


def test_sources_are_drawn_whole():
    made = rows(*(["rr"] * 30 + ["ff"] * 30))
    votes = count_votes(made)
    by_source = sampled_metrics(made, votes, {str(i): i // 30 for i in range(60)}, 200, 0)
    assert by_source["simple"]["pass_rate"]["ci95"] == [0, 1]
    low, high = sampled_metrics(made, votes, {}, 200, 0)["simple"]["pass_rate"]["ci95"]
    assert 0.3 < low < 0.5 < high < 0.7
