import pytest

from rewards import ScoredCompletion, score_completion
from rewards.errors import UserError
from rewards.thinking import thinks

THINKING = [
    "<think>x</think>fake",
    "<think>The shadows",  # cut by the length limit
    "<think></think> The shadows disagree, so it is fake",
    "<think></think>fake\nThe edges repeat and the texture is flat.",
    "The edges repeat twice <think></think>fake",
    "The image is fake because the edges repeat.",
    "The edges repeat and",  # without a verdict
    "<THINK>The edges repeat twice.</THINK>fake",
]
NOT_THINKING = [
    "",
    "fake",
    "<think></think>fake",
    "<think>\n\n</think>\n\nreal.",
    "<think> \n </think>",
    "The image is fake.",
    "Yes, I think this image is probably fake.",
    "<think></think>It's real.",
    "I don’t know whether it is real or fake",  # noqa: RUF001
    "no idea",
    "<think></think></think>fake",
]


@pytest.mark.parametrize("text", THINKING)
def test_reasoning_counts_as_thinking_wherever_it_stands(text):
    assert thinks(text)


@pytest.mark.parametrize("text", NOT_THINKING)
def test_a_bare_verdict_is_not_thinking(text):
    assert not thinks(text)


def test_a_score_keeps_what_was_read():
    expected = ScoredCompletion("fake", "x", well_formed=True, correct=False, thinking=True)
    assert score_completion("<think>x</think>fake", "real") == expected


@pytest.mark.parametrize("text", ["", "<think>real", "not real", "real or fake", "unreal"])
@pytest.mark.parametrize("label", ["real", "fake"])
def test_an_unparsed_completion_is_wrong_for_either_label(text, label):
    scored = score_completion(text, label)
    assert scored.verdict is None
    assert not scored.correct


def test_an_unknown_label_is_refused():
    with pytest.raises(UserError, match="unknown label 'genuine'"):
        score_completion("fake", "genuine")
