import pytest

from rewards.comparison import accuracy_difference, best_constant, constant_answer
from rewards.errors import UserError
from rewards.judged import judge
from tests.rewards.made_up import UNPARSED, from_counts, prediction


def answers(right: list[bool], n_per_source: int = 1):
    """Return predictions of real images, right or wrong by source."""
    return [
        prediction(f"{i}-{j}", answer="real" if is_right else "fake", source=f"s{i}")
        for i, is_right in enumerate(right)
        for j in range(n_per_source)
    ]


def test_difference_by_hand():
    ours = judge(answers([True, True, True, False]))
    theirs = judge(answers([True, False, False, False]))
    result = accuracy_difference(ours, theirs)
    assert result.difference == pytest.approx(3 / 4 - 1 / 4)
    assert (result.unit, result.n_units) == ("source", 4)


def test_the_order_of_the_second_set_does_not_matter():
    ours, theirs = answers([True, True, False] * 5), answers([False, True, True] * 5)
    assert accuracy_difference(judge(ours), judge(theirs)) == accuracy_difference(
        judge(ours), judge(theirs[::-1])
    )


def test_pairing_takes_out_what_both_share():
    # Both are right on the same half of the sources, and ours on one of ten more: unpaired, the
    # interval of a difference of 0.1 over 40 sources would be +-0.2 and hold zero.
    theirs = [True] * 18 + [False] * 22
    ours = [True] * 22 + [False] * 18
    result = accuracy_difference(judge(answers(ours)), judge(answers(theirs)))
    assert result.difference == pytest.approx(0.1)
    assert result.ci95 is not None
    assert result.ci95[0] > 0


def test_sources_are_drawn_whole():
    right, none = [True, False] * 10, [False] * 20
    wide = accuracy_difference(judge(answers(right, 30)), judge(answers(none, 30)))
    by_image = accuracy_difference(judge(answers(right, 30), "id"), judge(answers(none, 30)))
    assert wide.ci95 is not None
    assert by_image.ci95 is not None
    assert (wide.n_units, by_image.n_units) == (20, 600)
    assert wide.ci95[1] - wide.ci95[0] > 4 * (by_image.ci95[1] - by_image.ci95[0])  # sqrt(30) = 5.5


def test_a_set_against_itself_differs_by_nothing():
    ours = judge(answers([True, False, True]))
    result = accuracy_difference(ours, ours)
    assert (result.difference, result.ci95) == (0.0, [0.0, 0.0])


def test_one_source_has_no_interval():
    ours = judge(answers([True], 10))
    assert accuracy_difference(ours, ours).ci95 is None


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([prediction("a")], "2 and 1 predictions do not answer the same.*'b', 'simple'"),
        ([prediction("a"), prediction("c")], "do not answer the same questions"),
        ([prediction("a"), prediction("b", bank="hard")], "do not answer the same questions"),
        ([prediction("a"), prediction("a")], "do not answer the same questions"),
        ([prediction("a"), prediction("b", label="fake")], "id 'b' has another label"),
    ],
    ids=["fewer", "other id", "other bank", "twice", "other label"],
)
def test_sets_that_do_not_pair_are_refused(others, message):
    with pytest.raises(UserError, match=message):
        accuracy_difference(judge([prediction("a"), prediction("b")]), judge(others))


def test_against_the_best_constant_answer():
    counts = {("real", "real"): 30, ("real", UNPARSED): 10, ("fake", "fake"): 60}
    ours = judge(from_counts(counts))
    assert best_constant(ours) == "fake"
    result = accuracy_difference(ours, constant_answer(ours, "fake"))
    assert result.difference == pytest.approx(0.9 - 0.6)
    assert result.ci95 is not None
    assert 0 < result.ci95[0] < 0.3 < result.ci95[1]


def test_an_unknown_constant_is_refused():
    with pytest.raises(UserError, match="unknown label 'both'"):
        constant_answer(judge([prediction()]), "both")
