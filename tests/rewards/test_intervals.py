import numpy as np
import pytest

from rewards.bootstrap import resampled_sums, sum_by_unit
from rewards.errors import UserError
from rewards.intervals import metric_intervals
from rewards.judged import Judged, choose_unit, judge
from rewards.metrics import compute_metrics, point_estimates
from tests.rewards.made_up import UNPARSED, from_counts, prediction


def random_judged(n: int, n_units: int, seed: int = 0) -> Judged:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    return Judged(
        id=np.arange(n).astype(str),
        question_bank=np.full(n, "simple"),
        label=label,
        verdict=np.where(rng.random(n) < 0.7, label, rng.integers(0, 3, n)),
        well_formed=rng.random(n) < 0.9,
        thinking=rng.random(n) < 0.4,
        hidden_thinking=np.zeros(n, dtype=bool),
        repeats=rng.random(n) < 0.1,
        n_tokens=rng.integers(3, 90, n),
        p_fake=np.clip(rng.normal(0.3 + 0.4 * label, 0.3), 0, 1).round(3),
        unit=rng.integers(0, n_units, n),
        unit_name="source",
    )


def numbers(metrics: dict, keys: tuple[str, ...] = ()) -> dict:
    """Return ``metrics`` flat: {("real", "f1"): ...}."""
    flat = {}
    for key, value in metrics.items():
        if isinstance(value, dict):
            flat |= numbers(value, (*keys, key))
        else:
            flat[*keys, key] = value
    return flat


def test_intervals_are_the_percentiles_of_scikit_learn_s_metrics_on_resampled_units():
    judged = random_judged(n=60, n_units=12)
    n_units = len(np.unique(judged.unit))
    rng = np.random.default_rng(3)
    slow = []
    for _ in range(50):  # the same draws, but predictions are really repeated and scored again
        drawn = rng.integers(n_units, size=n_units)
        rows = np.concatenate([np.flatnonzero(judged.unit == unit) for unit in drawn])
        slow.append(numbers(point_estimates(judged.select(rows))))
    fast = numbers(metric_intervals(judged, n_bootstrap=50, seed=3))
    metrics = set(fast) - {("unit",), ("n_units",), ("n_bootstrap",)}
    counts = {("n",), ("n_unparsed",), ("real", "n"), ("fake", "n")}
    assert metrics == {key for key in slow[0] if key[0] != "confusion"} - counts
    for key in metrics:
        low, high = np.quantile([round_[key] for round_ in slow], (0.025, 0.975))
        assert fast[key] == pytest.approx([low, high]), key


def test_sums_by_unit_and_resampling_by_hand():
    sums = sum_by_unit(np.array(["b", "a", "b"]), np.array([1, 2, 4]), np.array([1, 1, 1]))
    assert sums.tolist() == [[2, 1], [5, 2]]  # a, b
    rounds = resampled_sums(sums, n_bootstrap=200, seed=0)
    # two draws of {a, b}: aa, ab, bb
    assert {tuple(row) for row in rounds} == {(4, 2), (7, 3), (10, 4)}


def test_copies_within_a_unit_do_not_narrow_the_interval():
    few = [
        prediction(f"{i}", answer="real" if i % 2 else "fake", source=f"s{i}") for i in range(20)
    ]
    many = [
        prediction(f"{p.id}-{copy}", completion=p.completion, source=p.source)
        for p in few
        for copy in range(50)
    ]

    def width(predictions, unit):
        judged = judge(predictions, unit)
        low, high = compute_metrics(judged, 400)["all"]["ci95"]["accuracy"]
        return high - low

    # accuracy 1/2 of 20 units: 2 * 1.96 * sqrt(0.25 / 20) = 0.44; of 1,000 images: 0.062
    assert width(few, "source") == pytest.approx(0.44, abs=0.06)
    assert width(many, "source") == pytest.approx(width(few, "source"), abs=0.06)
    assert width(many, "id") == pytest.approx(0.062, abs=0.01)


def test_both_questions_about_one_image_are_one_unit():
    predictions = [prediction(str(i), bank=b) for i in range(3) for b in ("simple", "hard")]
    ci95 = compute_metrics(judge(predictions), 10)["all"]["ci95"]
    assert (ci95["unit"], ci95["n_units"], ci95["n_bootstrap"]) == ("id", 3, 10)


def test_the_same_seed_gives_the_same_intervals():
    judged = random_judged(n=50, n_units=10)
    assert compute_metrics(judged, 100, seed=1) == compute_metrics(judged, 100, seed=1)
    assert compute_metrics(judged, 100, seed=1) != compute_metrics(judged, 100, seed=2)


def test_one_unit_has_no_interval():
    judged = judge([prediction(str(i), source="only") for i in range(5)])
    ci95 = compute_metrics(judged, 10)["all"]["ci95"]
    assert ci95["accuracy"] is None
    assert ci95["real"] == {"accuracy": None, "f1": None}
    assert ci95["mean_completion_tokens"] is None


def test_no_rounds_no_intervals():
    assert "ci95" not in compute_metrics(judge([prediction()]), 0)["all"]


def test_rounds_without_a_class_say_nothing_about_it():
    # Of two units one is fake: a quarter of the rounds draws no fake at all, and none are wrong.
    predictions = from_counts({("real", "real"): 1, ("fake", "fake"): 1})
    ci95 = compute_metrics(judge(predictions), 100)["all"]["ci95"]
    assert ci95["fake"] == {"accuracy": [1.0, 1.0], "f1": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("sources", "asked", "chosen"),
    [
        (["s", "t"], None, "source"),
        (["s", None], None, "id"),
        (["s", "t"], "id", "id"),
        (["s", "t"], "source", "source"),
    ],
)
def test_the_unit_is_the_source_where_every_line_has_one(sources, asked, chosen):
    predictions = [prediction(str(i), source=source) for i, source in enumerate(sources)]
    assert choose_unit(predictions, asked) == chosen


def test_a_unit_that_cannot_be_drawn_is_refused():
    with pytest.raises(UserError, match="1 of 1 predictions have no source"):
        judge([prediction(answer=UNPARSED)], "source")
    with pytest.raises(UserError, match="bootstrap_unit is 'photo'"):
        judge([prediction()], "photo")


def test_a_hundred_thousand_predictions_take_seconds():
    judged = random_judged(n=100_000, n_units=100_000)
    ci95 = metric_intervals(judged, n_bootstrap=100, seed=0)
    low, high = ci95["accuracy"]
    assert 0 < high - low < 0.01
