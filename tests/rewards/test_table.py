from rewards.judged import judge
from rewards.metrics import compute_metrics
from rewards.table import constant_rows, table1
from tests.rewards.made_up import UNPARSED, from_counts, prediction


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def rows_of(table: str) -> list[list[str]]:
    return [cells(line) for line in table.splitlines()[2:]]


def test_a_row_by_hand_in_per_cent():
    counts = {("real", "real"): 2, ("real", UNPARSED): 1, ("fake", "fake"): 1, ("fake", "real"): 4}
    table = table1([("base", compute_metrics(judge(from_counts(counts)), n_bootstrap=0))])
    # real: recall 2/3, F1 = 4 / (3 + 6); fake: recall 1/5, F1 = 2 / (5 + 1)
    # overall: accuracy 3/8, F1 = (3 * 4/9 + 5 * 2/6) / 8 = 0.375
    (row,) = rows_of(table)
    assert row[:8] == ["base", "simple", "66.67", "44.44", "20.00", "33.33", "37.50", "37.50"]
    assert row[8:] == ["0.00", "10.0", "1 (12.50)", "8"]


def test_every_line_has_the_header_s_cells():
    judged = judge([prediction("a"), prediction("a", bank="hard"), prediction("b", label="fake")])
    rows = [("a|b", compute_metrics(judged, 10)), *constant_rows(judged)]
    lines = table1(rows).replace(r"\|", "").splitlines()
    assert {line.count("|") for line in lines} == {13}


def test_a_method_has_a_row_a_bank_with_intervals():
    both = [prediction(f"{i}", bank=bank) for i in range(4) for bank in ("simple", "hard")]
    rows = rows_of(table1([("RL", compute_metrics(judge(both), 50))]))
    assert [row[:2] for row in rows] == [["RL", "simple"], ["RL", "hard"]]
    assert rows[0][6] == "100.00 [100.00, 100.00]"
    assert rows[0][4] == "–"  # noqa: RUF001  no fake image is there


def test_constant_answers_count_each_image_once():
    predictions = from_counts({("real", UNPARSED): 2, ("fake", "fake"): 6})
    predictions += from_counts({("real", "real"): 2, ("fake", "fake"): 6}, bank="hard")
    # ids differ by answer, so make the images of both banks the same ones
    predictions = [
        prediction(str(i % 8), p.label, bank=p.question_bank) for i, p in enumerate(predictions)
    ]
    real, fake = rows_of(table1(constant_rows(judge(predictions))))
    # always fake: 6 of 8 right; F1(fake) = 12 / (6 + 8), weighted by 6/8: 0.6429
    assert fake[:2] == ["always fake", "–"]  # noqa: RUF001
    assert fake[4:8] == ["100.00", "85.71", "75.00", "64.29"]
    assert fake[8:] == ["–", "–", "0 (0.00)", "8"]  # noqa: RUF001
    assert real[6] == "25.00"
