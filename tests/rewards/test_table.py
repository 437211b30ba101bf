import re

from rewards.judged import judge
from rewards.metrics import compute_metrics
from rewards.published import published
from rewards.table import constant_rows, table1, table1_latex
from tests.rewards.made_up import UNPARSED, from_counts, prediction
from tests.rewards.test_paper_table import TABLE_1


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


def test_published_rows_stand_first_and_say_which_f1_they_use():
    table = table1([("ours", compute_metrics(judge([prediction()]), 0))], published())
    rows = rows_of(table.split("\n\n")[0])
    assert rows[0][0].startswith("GPT-4o")
    assert [row[7] for row in rows[:3]] == ["42.00*", "98.10*", "29.50"]
    assert rows[-1][0] == "ours"
    assert "F1 marked *: binary, real positive" in table
    assert "cannot be compared" in table  # one image is not FakeClue's test set


def test_on_the_same_images_nothing_warns():
    counts = {("real", "real"): 1808, ("fake", "fake"): 3192}
    metrics = compute_metrics(judge(from_counts(counts)), 0)
    assert "cannot be compared" not in table1([("ours", metrics)], published())


def test_the_published_rows_of_the_paper_are_the_ones_that_our_rules_give_back():
    ours = [row for row in published().rows if row.source == "paper, Table 1"]
    printed = [
        (
            *(row.classes[label][key] for label in ("real", "fake") for key in ("accuracy", "f1")),
            *(row.overall["accuracy"], row.overall["f1"]),
        )
        for row in ours
    ]
    assert printed == [numbers for _, numbers in TABLE_1.values()]
    assert {row.f1 for row in ours} == {"weighted"}


def test_latex_has_one_cell_a_column_and_escapes_text():
    name = r"50%_of $x$ & {y} #1 \z ~a^b <c>"
    both = [prediction(str(i), bank=bank) for i in range(4) for bank in ("simple", "hard")]
    text = table1_latex([(name, compute_metrics(judge(both), 20))], published())
    body = text.split(r"\midrule", 1)[1].split(r"\bottomrule")[0]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(lines) == len(published().rows) + 2
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {11}
    assert r"50\%\_of \$x\$ \& \{y\} \#1 \textbackslash{}z \textasciitilde{}a" in text
    unescaped = re.sub(r"\\[{}]", "", text)
    assert unescaped.count("{") == unescaped.count("}")
    for environment in re.findall(r"\\begin\{(\w+)\}", text):
        assert rf"\end{{{environment}}}" in text
