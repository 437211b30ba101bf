"""Where an answer says its verdict, and the probability of "fake" against "real" there."""

import math

import pytest
from transformers import AutoTokenizer

from recipes.demo import BASE_MODEL, ROOT
from recipes.verdict_probability import verdict_probability
from rewards import parse_answer, render_answer
from rewards.answer_format import verdict_start


@pytest.mark.parametrize(
    ("text", "position"),
    [
        pytest.param("<think></think>real", 15, id="direct"),
        pytest.param(
            "<think>\nfake edges\n</think>real", 30 - 4 + 1, id="not the one that is thought"
        ),
        pytest.param("It is fake: a fake.", 14, id="the last of two"),
        pytest.param("İt is Fake", 6, id="letters whose lower case is longer"),
        pytest.param("unrealistic, so fake-looking: fake", 30, id="whole words"),
        pytest.param("real or fake", None, id="both"),
        pytest.param("<think>fake", None, id="never closed"),
        pytest.param("not real", None, id="negated"),
        pytest.param("", None, id="empty"),
    ],
)
def test_position_of_the_verdict(text: str, position: int | None) -> None:
    assert verdict_start(text) == position
    if position is not None:
        assert text[position:].lower().startswith(str(parse_answer(text).verdict))


def probability(completion: str, tokens: list[str], at: int, listed: dict[str, float]):
    """Return the verdict's probabilities when the token ``at`` has ``listed`` alternatives."""
    alternatives = [(text, math.log(p)) for text, p in listed.items()]
    return verdict_probability(
        completion, tokens, lambda index: alternatives if index == at else [("real", 0.0)]
    )


THINK = ["<", "think", "></", "think", ">"]


@pytest.mark.parametrize(
    ("tokens", "at", "listed", "fake", "real"),
    [
        pytest.param([*THINK, "real"], 5, {"real": 0.7, "fake": 0.2}, 0.2, 0.7, id="two tokens"),
        pytest.param([*THINK, "real"], 5, {"real": 0.7}, 0.0, 0.7, id="fake is not listed"),
        pytest.param(
            [*THINK, " Real", "."],
            5,
            {" Real": 0.4, "real": 0.1, " real": 0.1, " fake": 0.2, "FAKE": 0.05, "\nfake": 0.05},
            0.3,
            0.6,
            id="spaces and capitals",
        ),
        pytest.param(
            [*THINK, "re", "al"],
            5,
            {"re": 0.5, "real": 0.1, "fa": 0.3, "f": 0.1},
            0.4,
            0.6,
            id="pieces",
        ),
        pytest.param(
            [*THINK[:4], ">real"],
            4,
            {">real": 0.6, ">fake": 0.3, "fake": 0.1},
            0.3,
            0.6,
            id="tag and verdict in a token",
        ),
        pytest.param(
            [*THINK, "fake"],
            5,
            {"fake": 0.5, "realistic": 0.2, "real-time": 0.1, "real.": 0.1, "": 0.1},
            0.5,
            0.1,
            id="other words",
        ),
        pytest.param(
            ["<think>", "fake</think>", "real", "<|im_end|>"],
            2,
            {"real": 0.9, "fake": 0.1},
            0.1,
            0.9,
            id="word in the block, end of turn",
        ),
        pytest.param(["fa", "ke. So: ", "fake"], 2, {"fake": 1.0}, 1.0, 0.0, id="the last of two"),
    ],
)
def test_probability_at_the_verdict(tokens, at, listed, fake, real) -> None:
    completion = "".join(tokens).removesuffix("<|im_end|>")
    found = probability(completion, tokens, at, listed)
    assert found is not None
    assert (found.fake, found.real) == (pytest.approx(fake), pytest.approx(real))
    assert found.p_fake == pytest.approx(fake / (fake + real))
    assert found.unseen == pytest.approx(1 - sum(listed.values()), abs=1e-9)


def test_what_is_not_listed_bounds_the_score() -> None:
    # 0.25 of the probability is on tokens that are not listed: were they all "fake", p_fake would
    # be (0.15 + 0.25) / 1.0; were none, 0.15 / 0.75.
    found = probability("real", ["real"], 0, {"real": 0.6, "fake": 0.15})
    assert found is not None
    assert found.p_fake == pytest.approx(0.15 / 0.75)
    assert found.unseen == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("completion", "tokens", "listed"),
    [
        pytest.param("no idea", ["no", " idea"], {" idea": 1.0}, id="unparsed"),
        pytest.param("", [], {}, id="nothing"),
        pytest.param("real", ["real"], {}, id="forced, not drawn"),
        pytest.param("fake", ["real"], {"real": 1.0}, id="the tokens say something else"),
    ],
)
def test_no_probability(completion: str, tokens: list[str], listed: dict[str, float]) -> None:
    assert verdict_probability(completion, tokens, lambda _: [(t, 0.0) for t in listed]) is None


def test_neither_word_among_the_listed() -> None:
    found = verdict_probability("real", ["real"], lambda _: [("x", -0.1)])
    assert found is not None
    assert found.p_fake is None


@pytest.mark.parametrize("reasoning", ["", "The edges are soft, not real grain."])
@pytest.mark.parametrize("label", ["real", "fake"])
def test_with_the_demo_models_own_tokens(label: str, reasoning: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(ROOT / BASE_MODEL)
    text = render_answer(label, reasoning)
    ids = tokenizer(text + tokenizer.eos_token).input_ids
    tokens = [tokenizer.decode([i]) for i in ids]
    asked = []
    verdict_probability(text, tokens, lambda index: asked.append(index) or [("real", 0.0)])
    assert [tokens[index] for index in asked] == [label]
