import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score, roc_auc_score

from rewards.bootstrap import estimate, ratio, resampled_sums
from rewards.breakdowns import MOST_GROUPS, breakdowns, group_columns, group_metrics, is_chameleon
from rewards.judged import judge
from rewards.token_lengths import token_lengths
from tests.rewards.made_up import UNPARSED, prediction
from tests.rewards.test_intervals import random_judged


@pytest.mark.parametrize("seed", range(3))
def test_a_group_s_metrics_are_scikit_learn_s(seed):
    judged = random_judged(200, 50, seed)
    metrics = group_metrics(judged, 0, 0)
    truth, said = judged.label, judged.verdict
    known = {"labels": [0, 1], "zero_division": 0}
    assert metrics["accuracy"] == pytest.approx(accuracy_score(truth, said))
    for average in ("weighted", "macro"):
        expected = f1_score(truth, said, average=average, **known)
        assert metrics[f"f1_{average}"] == pytest.approx(expected)
    for i, label in enumerate(("real", "fake")):
        recall = recall_score(truth, said, labels=[i], average="macro")
        assert metrics[label]["accuracy"] == pytest.approx(recall)
    assert metrics["auroc"] == pytest.approx(roc_auc_score(truth, judged.p_fake))


@pytest.mark.parametrize(
    ("width", "height", "group"),
    [
        (128, 1, "up to 128 px"),
        (1, 129, "129-256 px"),
        (512, 512, "257-512 px"),
        (1024, 9, "513-1024 px"),
        (9, 4000, "over 1024 px"),
        (None, 9, None),
    ],
)
def test_image_size_is_by_the_longer_side(width, height, group):
    predictions = [prediction("a", width=width, height=height), prediction("b", width=1, height=1)]
    assert group_columns(predictions)["image_size"][0] == group


@pytest.mark.parametrize(
    ("row_id", "source", "expected"),
    [
        ("chameleon/fake/1.jpg", None, True),
        ("1", "Chameleon", True),
        ("1", "fakeclue/chameleon", True),
        ("fakeclue:chameleon/1", None, True),
        ("doc/chameleon_lizard.jpg", "animal", False),
    ],
)
def test_chameleon_is_a_set_and_no_animal(row_id, source, expected):
    assert is_chameleon(prediction(row_id, source=source)) is expected


def test_a_dimension_without_groups_is_left_out_and_missing_ones_are_counted():
    predictions = [prediction("a", category="doc"), prediction("b"), prediction("c", answer="fake")]
    columns = group_columns(predictions, {("a", "simple"): (2, 5), ("b", "hard"): (1, 5)})
    result = breakdowns(judge(predictions), columns, 0, 0)
    assert set(result) == {"label", "category", "pass_rate"}
    assert (result["category"]["n_groups"], result["category"]["n_without"]) == (1, 2)
    assert set(result["pass_rate"]["groups"]) == {"2 of 5"}


def test_the_largest_groups_are_shown():
    predictions = [
        prediction(f"{i}-{j}", category=f"c{i:03d}")
        for i in range(120)
        for j in range(1 + (i > 99))
    ]
    result = breakdowns(judge(predictions), group_columns(predictions), 0, 0)["category"]
    assert (result["n_groups"], len(result["groups"])) == (120, MOST_GROUPS)
    assert {f"c{i}" for i in range(100, 120)} <= set(result["groups"])


def test_drawing_kinds_and_drawing_units_have_one_distribution():
    sums = np.repeat([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]], [30, 50, 20], axis=0)
    kinds = resampled_sums(sums, 4000, 0)
    noise = np.linspace(0, 1e-9, 100)[:, None]  # all units differ: they are drawn one by one
    units = resampled_sums(sums + noise, 4000, 0)
    for quantile in (0.025, 0.5, 0.975):
        assert np.quantile(kinds, quantile, axis=0) == pytest.approx(
            np.quantile(units, quantile, axis=0), abs=1
        )
    # sd of a sum of 100 draws with p = 0.3: sqrt(100 * 0.3 * 0.7) = 4.58
    assert kinds[:, 0].std() == pytest.approx(4.58, rel=0.05)
    assert np.corrcoef(kinds.T)[0, 1] == pytest.approx(np.corrcoef(units.T)[0, 1], abs=0.05)


def test_an_estimate_that_is_not_defined_is_none():
    none = np.zeros(4)
    assert estimate(ratio, [none, none], np.arange(4), 10, 0) == {"value": None, "ci95": None}
    empty = np.zeros(0)
    assert estimate(ratio, [empty, empty], empty, 10, 0) == {"value": None, "ci95": None}
    ones = np.ones(4)
    assert estimate(ratio, [ones, ones], ones, 10, 0) == {"value": 1.0, "ci95": None}  # one unit


def test_lengths_with_and_without_repeated_segments():
    loop = "<think>" + "and so on " * 60 + "</think>fake"
    predictions = [
        *(prediction(str(i), n_completion_tokens=i) for i in range(1, 10)),
        prediction("loop", "fake", completion=loop, n_completion_tokens=100),
        prediction("none", "real", UNPARSED, n_completion_tokens=9),
    ]
    result = token_lengths(judge(predictions), max_completion_length=100)
    assert (result["n"], result["n_repeated"], result["n_clipped"]) == (11, 1, 1)
    assert result["mean"] == pytest.approx((45 + 100 + 9) / 11)
    assert result["median"] == 6
    rest = result["without_repeated"]
    assert (rest["n"], rest["mean"]) == (10, pytest.approx((45 + 9) / 10))
    assert rest["accuracy"] == pytest.approx(9 / 10)
    histogram = result["histogram"]
    assert sum(histogram["counts"]) == 11
    assert sum(histogram["counts_without_repeated"]) == 10
    assert len(histogram["edges"]) == len(histogram["counts"]) + 1


def test_lengths_where_all_completions_repeat():
    loop = prediction(completion="fake " * 50)
    assert token_lengths(judge([loop]))["without_repeated"]["mean"] is None
    assert token_lengths(judge([loop]))["n_clipped"] is None


def test_hidden_thinking_is_behind_an_empty_block():
    texts = ["<think></think>The shadows disagree with the lamp, so fake.", "<think></think>fake"]
    texts += ["The shadows disagree with the lamp, so fake.", "<think>x</think>fake"]
    judged = judge([prediction(str(i), completion=text) for i, text in enumerate(texts)])
    assert judged.hidden_thinking.tolist() == [True, False, False, False]
    assert judged.thinking.tolist() == [True, False, True, True]
