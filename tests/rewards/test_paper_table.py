"""The metrics give back Table 1 of Fake-HR1 from counts of answers.

The counts are ours: for the 1,808 real and 3,192 fake images of FakeClue's test set, the only ones
that round to the six printed numbers (for Qwen2.5-VL two do; one of them is here). That there are
any, for every row, is what fixes the rules in ``rewards/metrics.py``.
"""

import pytest

from rewards.judged import judge
from rewards.metrics import compute_metrics
from tests.rewards.made_up import UNPARSED, from_counts

# counts: real as real, fake, unparsed; fake as real, fake, unparsed
# printed: real Acc, F1; fake Acc, F1; overall Acc, F1
TABLE_1 = {
    "Qwen2.5-VL-7B": ((1481, 21, 306, 2359, 289, 544), (81.91, 52.44, 9.05, 16.5, 35.40, 29.50)),
    "InternVL3-8B": (
        (1250, 364, 194, 1325, 1542, 325),
        (69.14, 57.04, 48.31, 60.49, 55.84, 59.24),
    ),
    "SFT, no reasoning": (
        (1808, 0, 0, 1375, 1817, 0),
        (100.00, 72.45, 56.92, 72.55, 72.50, 72.51),
    ),
    "SFT, reasoning": ((1805, 0, 3, 1336, 1823, 33), (99.83, 72.94, 57.11, 72.70, 72.56, 72.79)),
    "RL, no reasoning": (
        (1657, 151, 0, 503, 2689, 0),
        (91.65, 83.52, 84.24, 89.16, 86.92, 87.12),
    ),
    "RL, reasoning": ((1707, 95, 6, 542, 2591, 59), (94.41, 84.15, 81.17, 88.16, 85.96, 86.71)),
}
CELLS = [(label, answer) for label in ("real", "fake") for answer in ("real", "fake", UNPARSED)]


def metrics_of(counts):
    predictions = from_counts(dict(zip(CELLS, counts, strict=True)))
    return compute_metrics(judge(predictions), n_bootstrap=0)["all"]


@pytest.mark.parametrize("row", TABLE_1.values(), ids=TABLE_1.keys())
def test_a_row_of_table_1(row):
    counts, printed = row
    metrics = metrics_of(counts)
    ours = [metrics[label][key] for label in ("real", "fake") for key in ("accuracy", "f1")]
    ours += [metrics["accuracy"], metrics["f1_weighted"]]
    assert (metrics["real"]["n"], metrics["fake"]["n"]) == (1808, 3192)
    assert [round(100 * value, 2) for value in ours] == list(printed)


def test_macro_f1_is_not_what_the_table_prints():
    counts, printed = TABLE_1["RL, reasoning"]
    assert round(100 * metrics_of(counts)["f1_macro"], 2) != printed[5]


def test_binary_f1_of_real_is_what_fakevlm_reports():
    # A published re-run of FakeVLM on the same images, 4 of them undetermined: Acc .986, F1 .981.
    metrics = metrics_of((1760, 48, 0, 20, 3168, 4))
    assert round(metrics["f1_real_positive"], 3) == 0.981
    assert round(metrics["accuracy"], 3) == 0.986


def test_the_constant_answer_always_fake():
    # recall of fake 1, F1(fake) = 2*3192 / (3192 + 5000) = 0.7793; weighted by 0.6384: 0.4975
    metrics = metrics_of((0, 1808, 0, 0, 3192, 0))
    assert round(100 * metrics["accuracy"], 2) == 63.84
    assert round(100 * metrics["f1_weighted"], 2) == 49.75
