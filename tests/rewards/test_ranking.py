import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from rewards.calibration import N_BINS, calibration, calibration_intervals
from rewards.ranking import ranking, ranking_intervals, ranking_rounds

REAL, FAKE = 0, 1


def scores(n: int, seed: int = 0, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    return label, np.clip(rng.normal(0.35 + 0.3 * label, 0.2), 0, 1).round(digits)


def test_recall_at_false_alarms_by_hand():
    # 100 real images: one at 0.9, the rest at 0.1; fakes at 0.95, 0.9, 0.5 and 0.1.
    label = np.array([REAL] * 100 + [FAKE] * 4)
    p_fake = np.array([0.9] + [0.1] * 99 + [0.95, 0.9, 0.5, 0.1])
    result = ranking(label, p_fake)
    # 1 %: one false alarm is allowed; threshold 0.5 raises one (0.9), threshold 0.1 a hundred.
    assert result["recall_at_1%"] == 3 / 4
    # Pairs (fake, real): 0.95 beats 100; 0.9 beats 99, ties 1; 0.5 beats 99; 0.1 ties 99.
    assert result["auroc"] == pytest.approx((100 + 99.5 + 99 + 99 / 2) / 400)


def test_equal_scores_are_called_alike():
    # Two real images share the highest score with the fakes: calling it raises 2 % false alarms.
    label = np.array([REAL] * 100 + [FAKE] * 5)
    p_fake = np.array([0.9] * 2 + [0.1] * 98 + [0.9] * 5)
    result = ranking(label, p_fake)
    assert result["recall_at_1%"] == 0.0
    assert result["recall_at_5%"] == 1.0


@pytest.mark.parametrize(("n_real", "at_1", "at_5"), [(19, None, None), (20, None, 1), (100, 1, 1)])
def test_a_recall_needs_as_many_real_images_as_one_false_alarm(n_real, at_1, at_5):
    label = np.array([REAL] * n_real + [FAKE])
    result = ranking(label, label * 1.0)
    assert (result["recall_at_1%"], result["recall_at_5%"]) == (at_1, at_5)


def test_one_class_has_no_ranking():
    label = np.array([FAKE, FAKE])
    assert set(ranking(label, np.array([0.1, 0.9])).values()) == {None}
    assert set(ranking_intervals(label, np.array([0.1, 0.9]), label, 10, 0).values()) == {None}


@pytest.mark.parametrize("digits", [1, 8], ids=["ties", "no ties"])
def test_rounds_are_scikit_learn_s_metrics_on_resampled_units(digits):
    label, p_fake = scores(80, digits=digits)
    unit = np.random.default_rng(1).integers(0, 15, 80)
    n_units = len(np.unique(unit))
    fast = ranking_rounds(label, p_fake, unit, n_bootstrap=30, seed=4)
    rng = np.random.default_rng(4)
    for i in range(30):  # the same draws, but predictions are really repeated and scored again
        drawn = np.unique(unit)[rng.integers(n_units, size=n_units)]
        rows = np.concatenate([np.flatnonzero(unit == u) for u in drawn])
        expected = roc_auc_score(label[rows], p_fake[rows])
        assert fast["auroc"][i] == pytest.approx(expected)
        expected = average_precision_score(label[rows], p_fake[rows])
        assert fast["average_precision"][i] == pytest.approx(expected)
        assert fast["recall_at_5%"][i] == pytest.approx(slow_recall(label[rows], p_fake[rows]))


def slow_recall(label: np.ndarray, p_fake: np.ndarray, rate: float = 0.05) -> float:
    thresholds = [t for t in p_fake if (p_fake[label == REAL] >= t).mean() <= rate]
    return float((p_fake[label == FAKE] >= min(thresholds)).mean()) if thresholds else 0.0


def test_intervals_hold_the_point_and_narrow_with_more_images():
    widths = []
    for n in (200, 3200):
        label, p_fake = scores(n, digits=6)
        low, high = ranking_intervals(label, p_fake, np.arange(n), 400, 0)["auroc"]
        assert low < ranking(label, p_fake)["auroc"] < high
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.4)  # sqrt(3200 / 200)


def test_calibration_by_hand():
    label = np.array([REAL, FAKE, FAKE, FAKE])
    p_fake = np.array([0.1, 0.1, 0.9, 0.9])
    result = calibration(label, p_fake)
    # bin of 0.1: mean 0.1, half fake; bin of 0.9: mean 0.9, all fake
    assert result["ece"] == pytest.approx((2 * 0.4 + 2 * 0.1) / 4)
    assert result["ece_equal_mass"] == pytest.approx(result["ece"])
    assert result["brier"] == pytest.approx((0.01 + 0.81 + 0.01 + 0.01) / 4)
    assert [point["n"] for point in result["reliability"]] == [2, 2]
    assert [point["share_fake"] for point in result["reliability"]] == [0.5, 1.0]


def test_calibration_agrees_with_scikit_learn():
    label, p_fake = scores(500, digits=8)
    result = calibration(label, p_fake)
    share, mean = calibration_curve(label, p_fake, n_bins=N_BINS)
    assert [p["share_fake"] for p in result["reliability"]] == pytest.approx(share.tolist())
    assert [p["mean_p_fake"] for p in result["reliability"]] == pytest.approx(mean.tolist())
    assert result["brier"] == pytest.approx(brier_score_loss(label, p_fake))


def test_certain_scores_have_a_bin():
    result = calibration(np.array([REAL, FAKE]), np.array([0.0, 1.0]))
    assert (result["ece"], result["brier"]) == (0.0, 0.0)
    assert [p["n"] for p in result["reliability"]] == [1, 1]


def test_calibration_intervals_are_of_the_same_quantities():
    label, p_fake = scores(4000, digits=6)
    point = calibration(label, p_fake)
    ci95 = calibration_intervals(label, p_fake, np.arange(4000), 300, 0)
    for key in ("brier", "ece"):
        assert ci95[key][0] < point[key] < ci95[key][1] or point[key] < ci95[key][0]
        assert ci95[key][1] - ci95[key][0] < 0.05
    assert ci95["brier"][0] < point["brier"] < ci95["brier"][1]
