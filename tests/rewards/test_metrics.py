import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from rewards.errors import UserError
from rewards.judged import judge
from rewards.metrics import compute_metrics
from rewards.records import Prediction
from tests.rewards.made_up import UNPARSED, from_counts, prediction


def metrics_of(predictions: list[Prediction], n_bootstrap: int = 0, **options) -> dict:
    return compute_metrics(judge(predictions, **options), n_bootstrap)


def test_by_hand():
    counts = {
        ("real", "real"): 3,
        ("real", "fake"): 1,
        ("real", UNPARSED): 1,
        ("fake", "fake"): 2,
        ("fake", "real"): 1,
        ("fake", UNPARSED): 2,
    }
    metrics = metrics_of(from_counts(counts))["all"]
    # real: recall 3/5; predicted real 3 + 1 = 4, F1 = 2*3 / (5 + 4) = 6/9
    # fake: recall 2/5; predicted fake 2 + 1 = 3, F1 = 2*2 / (5 + 3) = 4/8
    assert metrics["real"] == pytest.approx({"n": 5, "accuracy": 3 / 5, "f1": 6 / 9})
    assert metrics["fake"] == pytest.approx({"n": 5, "accuracy": 2 / 5, "f1": 4 / 8})
    assert metrics["n"] == 10
    assert metrics["accuracy"] == pytest.approx(5 / 10)
    assert metrics["f1_weighted"] == pytest.approx((5 * 6 / 9 + 5 * 4 / 8) / 10)
    assert metrics["f1_macro"] == pytest.approx((6 / 9 + 4 / 8) / 2)
    assert metrics["f1_real_positive"] == pytest.approx(6 / 9)
    assert metrics["n_unparsed"] == 3
    assert metrics["well_formed_rate"] == pytest.approx(7 / 10)


def test_weighted_and_macro_differ_where_the_classes_do():
    # real: 1 of 1 right, predicted real 1 + 2: F1 = 2/4; fake: 1 of 3 right, F1 = 2/4
    # so change one: fake 2 of 3 right, predicted real 2: F1(real) = 2/3, F1(fake) = 4/5
    counts = {("real", "real"): 1, ("fake", "fake"): 2, ("fake", "real"): 1}
    metrics = metrics_of(from_counts(counts))["all"]
    assert metrics["f1_weighted"] == pytest.approx((1 * 2 / 3 + 3 * 4 / 5) / 4)
    assert metrics["f1_macro"] == pytest.approx((2 / 3 + 4 / 5) / 2)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    answers = ["real", "fake", UNPARSED]
    counts = {(x, y): int(rng.integers(0, 40)) for x in ("real", "fake") for y in answers}
    metrics = metrics_of(from_counts(counts))["all"]
    truth = [x for (x, _), n in counts.items() for _ in range(n)]
    predicted = [y for (_, y), n in counts.items() for _ in range(n)]
    classes = ["real", "fake"]

    def f1(**options):
        return pytest.approx(f1_score(truth, predicted, **options))

    assert metrics["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert metrics["f1_weighted"] == f1(labels=classes, average="weighted")
    assert metrics["f1_macro"] == f1(labels=classes, average="macro")
    assert metrics["f1_real_positive"] == f1(labels=["real"], average="macro")
    assert metrics["fake"]["f1"] == f1(labels=["fake"], average="macro")


def test_an_unparsed_answer_is_no_prediction_of_the_other_class():
    right = {("real", "real"): 4, ("fake", "fake"): 4}
    unparsed = metrics_of(from_counts({**right, ("real", UNPARSED): 2}))["all"]
    other = metrics_of(from_counts({**right, ("real", "fake"): 2}))["all"]
    assert unparsed["accuracy"] == other["accuracy"]  # wrong either way
    assert unparsed["fake"]["f1"] == 1.0
    assert other["fake"]["f1"] == pytest.approx(8 / 10)  # 2*4 / (4 + 6)


def test_nothing_parsed():
    metrics = metrics_of(from_counts({("real", UNPARSED): 2, ("fake", UNPARSED): 2}), 20)["all"]
    assert metrics["accuracy"] == metrics["f1_weighted"] == metrics["f1_macro"] == 0.0
    assert metrics["real"] == {"n": 2, "accuracy": 0.0, "f1": 0.0}
    assert metrics["n_unparsed"] == 4


def test_an_absent_class_has_no_accuracy():
    metrics = metrics_of(from_counts({("fake", "fake"): 3, ("fake", "real"): 1}), 20)["all"]
    assert metrics["real"] == {"n": 0, "accuracy": None, "f1": None}
    assert metrics["fake"]["accuracy"] == pytest.approx(3 / 4)
    assert metrics["f1_weighted"] == pytest.approx(6 / 7)  # F1 of fake alone: 2*3 / (4 + 3)
    assert metrics["ci95"]["real"] == {"accuracy": None, "f1": None}


def test_all_is_over_both_banks_and_an_absent_bank_is_absent():
    simple = [prediction("a"), prediction("b", answer="fake")]
    hard = [prediction("a", bank="hard", completion="<think>x</think>real", n_completion_tokens=30)]
    both = metrics_of(simple + hard)
    assert list(both) == ["all", "simple", "hard"]
    assert [both[key]["n"] for key in both] == [3, 2, 1]
    assert both["all"]["accuracy"] == pytest.approx(2 / 3)
    assert [both[key]["thinking_rate"] for key in both] == pytest.approx([1 / 3, 0, 1])
    assert [both[key]["mean_completion_tokens"] for key in both] == pytest.approx([50 / 3, 10, 30])
    assert list(metrics_of(hard)) == ["all", "hard"]


def test_no_predictions_and_settings_out_of_range_are_refused():
    with pytest.raises(UserError, match="no predictions"):
        judge([])
    with pytest.raises(UserError, match="n_bootstrap is -1"):
        compute_metrics(judge([prediction()]), n_bootstrap=-1)
    with pytest.raises(UserError, match="seed -1"):
        compute_metrics(judge([prediction()]), seed=-1)
