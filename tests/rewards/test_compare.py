import json
import sys

import numpy as np
import pytest
from scipy.stats import binomtest

from rewards.compare import compare_runs, main, read_runs, render
from rewards.errors import UserError, run_cli
from rewards.judged import judge
from rewards.paired_test import compare_pair, holm, mcnemar_test
from rewards.pareto import mark_front
from rewards.records import format_lines
from rewards.robustness import robustness
from tests.rewards.made_up import prediction


def answers(right: str, bank: str = "simple", **changes):
    """Return predictions, 1 where right; labels alternate."""
    labels = ("real", "fake")
    return [
        prediction(
            str(i), labels[i % 2], labels[i % 2 if ok == "1" else (i + 1) % 2], bank, **changes
        )
        for i, ok in enumerate(right)
    ]


@pytest.mark.parametrize(("alone_a", "alone_b"), [(3, 9), (0, 5), (1, 1)])
def test_mcnemar_is_exact_where_few_differ(alone_a, alone_b):
    first = np.array([True] * 20 + [True] * alone_a + [False] * alone_b)
    second = np.array([True] * 20 + [False] * alone_a + [True] * alone_b)
    result = mcnemar_test(first, second)
    assert (result["a_alone"], result["b_alone"], result["exact"]) == (alone_a, alone_b, True)
    assert result["p"] == pytest.approx(binomtest(alone_a, alone_a + alone_b).pvalue)


def test_mcnemar_of_many_is_chi_square_by_hand():
    first = np.array([True] * 40 + [False] * 20)
    result = mcnemar_test(first, ~first)
    # (|40 - 20| - 1)^2 / 60 = 6.017; P(chi2_1 > 6.017) = 0.01417
    assert result["exact"] is False
    assert result["p"] == pytest.approx(0.01417, abs=1e-5)


def test_runs_that_never_differ_have_p_1():
    same = np.array([True, False])
    assert mcnemar_test(same, same)["p"] == 1.0


def test_holm_by_hand():
    # sorted 0.01 x 3, 0.02 x 2, 0.03 x 1, made monotone
    assert holm([0.02, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])


def test_differences_are_second_minus_first():
    first = judge(answers("1100", n_completion_tokens=10))
    second = judge(answers("1111", n_completion_tokens=4))
    differences = compare_pair(first, second, 50, 0)["differences"]
    assert differences["accuracy"]["value"] == 1 / 2
    assert differences["real_accuracy"]["value"] == 1 / 2
    assert differences["mean_completion_tokens"] == {"value": -6, "ci95": [-6, -6]}
    # half right of each class, no unparsed: F1 of both is 1/2
    assert differences["f1_weighted"]["value"] == pytest.approx(1 - 1 / 2)
    assert differences["auroc"] == {"value": None, "ci95": None}


def test_changed_images_are_paired_with_their_own():
    original = answers("1" * 20, p_fake=0.5)
    changed = answers("1" * 10 + "0" * 10, p_fake=0.5)[5:]
    result = robustness(judge(original), judge(changed[::-1]), 50, 0)["simple"]
    assert (result["n"], result["n_not_asked"], result["n_left_out"]) == (15, 5, 0)
    assert result["accuracy"] == pytest.approx(5 / 15)
    assert result["difference"]["accuracy"]["value"] == pytest.approx(5 / 15 - 1)
    assert result["auroc"] == 0.5
    assert result["difference"]["auroc"] == {"value": 0, "ci95": [0, 0]}


def test_what_differs_is_listed_with_both_completions():
    runs = {"a": answers("110"), "b": answers("101")}
    comparison, differing = compare_runs(runs, 0)
    assert [(r["id"], r["right"]) for r in differing["a-b"]] == [("1", "a"), ("2", "b")]
    assert differing["a-b"][0]["a_verdict"] == "fake"
    assert differing["a-b"][0]["b_completion"] == "<think></think>real"
    assert comparison["pairs"][0]["banks"]["simple"]["mcnemar"]["a_alone"] == 1


def test_three_runs_are_corrected_and_two_are_not():
    runs = {"a": answers("1" * 12), "b": answers("0" * 6 + "1" * 6), "c": answers("1" * 12)}
    pairs = compare_runs(runs, 0)[0]["pairs"]
    assert [(pair["a"], pair["b"]) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    test = pairs[0]["banks"]["simple"]["mcnemar"]
    assert test["p_holm"] == pytest.approx(3 * test["p"])
    two = compare_runs({name: runs[name] for name in "ab"}, 0)[0]["pairs"][0]["banks"]["simple"]
    assert two["mcnemar"]["p_holm"] == two["mcnemar"]["p"]
    assert "Holm" in render(compare_runs(runs, 0)[0])


def test_other_questions_are_refused_or_left_out_and_counted():
    runs = {"a": answers("111"), "b": answers("1111") + answers("1", "hard")}
    with pytest.raises(UserError, match=r"3 ids and banks stand in both, 0 only in a, 2 only in b"):
        compare_runs(runs, 0)
    comparison, _ = compare_runs(runs, 0, common=True)
    assert (comparison["n_common"], comparison["n_left_out"]) == (3, {"a": 0, "b": 2})
    assert "2 further questions of b are left out" in render(comparison)


def test_another_label_is_refused():
    runs = {"a": answers("11"), "b": [prediction("0", "fake"), prediction("1", "fake")]}
    with pytest.raises(UserError, match="id '0' has another label"):
        compare_runs(runs, 0)


def test_pareto_front_by_hand():
    places = [(0.8, 10), (0.9, 50), (0.8, 60), (0.7, 5), (0.8, 10)]
    points = [{"accuracy": a, "mean_completion_tokens": t} for a, t in places]
    assert [point["on_front"] for point in mark_front(points)] == [True, True, False, True, True]


def test_the_command_line(tmp_path, monkeypatch, capsys):
    for name, right in (("first", "1100"), ("second", "1010")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "predictions.jsonl").write_text(format_lines(answers(right)))
    arguments = [str(tmp_path / "first"), str(tmp_path / "second")]
    out = tmp_path / "out"
    options = ["--output_dir", str(out), "--n_bootstrap", "20"]
    monkeypatch.setattr(sys, "argv", ["compare", *arguments, *options])
    with pytest.raises(SystemExit) as exit_:
        run_cli(main)
    assert exit_.value.code == 0
    printed = capsys.readouterr().out
    assert printed == (out / "comparison.md").read_text()
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows[:4]} == {12}
    assert json.loads((out / "comparison.json").read_text())["runs"] == ["first", "second"]
    lines = (out / "differing" / "first-second.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["1", "2"]


def test_runs_need_names_of_their_own(tmp_path):
    (tmp_path / "predictions.jsonl").write_text(format_lines(answers("1")))
    with pytest.raises(UserError, match="two runs are named"):
        read_runs([str(tmp_path), str(tmp_path)])
    assert set(read_runs([f"a={tmp_path}", f"b={tmp_path}"])) == {"a", "b"}
    with pytest.raises(UserError, match="without a slash"):
        read_runs(["x/y=there", "b=here"])
    with pytest.raises(UserError, match="nothing to compare"):
        read_runs([str(tmp_path)])
