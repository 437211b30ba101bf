import itertools
import pickle

import pytest

from data_prep.image_statistics import LEVELS, PHRASES, describe
from rewards import (
    QUESTION_BANKS,
    HybridReward,
    accuracy_reward,
    format_reward,
    hybrid_reward,
    render_answer,
)
from rewards.errors import UserError
from rewards.hacks import find_hack
from rewards.repetition import repeated_share

DIRECT, REASONED = "<think></think>fake", "<think>Edges are soft.</think>fake"
HIDDEN = "<think></think>The edges repeat, so it is fake"
HIDDEN_TOO = "<think>x</think>The edges repeat, so it is fake"
UNCLOSED, BARE = "<think>Edges. fake", "fake"
WRONG = "<think></think>real"

#            completion   accuracy, format, hybrid simple, hybrid hard; the label is fake
REWARDS = {
    "empty": ("", 0.0, 0.0, 0.0, 0.0),
    "unclosed": (UNCLOSED, 0.0, 0.0, 0.0, 0.0),
    "wrong": (WRONG, 0.0, 1.0, 1.0, 0.0),
    "both": ("<think></think>real or fake", 0.0, 0.0, 0.0, 0.0),
    "label in the reasoning": ("<think>Soft edges mean fake</think>real", 0.0, 1.0, 0.0, 1.0),
    "bare": (BARE, 1.0, 0.0, 0.0, 0.0),
    "hidden reasoning": (HIDDEN, 1.0, 0.0, 0.0, 0.0),
    "reasoning on both sides": (HIDDEN_TOO, 1.0, 0.0, 0.0, 0.0),
    "white space for reasoning": ("<think> \n </think>fake", 1.0, 1.0, 1.0, 0.0),
    "direct": (DIRECT, 1.0, 1.0, 1.0, 0.0),
    "reasoned": (REASONED, 1.0, 1.0, 0.0, 1.0),
}
by_case = pytest.mark.parametrize("case", REWARDS.values(), ids=REWARDS.keys())


@by_case
def test_each_reward(case):
    text, accuracy, form, simple, hard = case
    assert accuracy_reward([text], label=["fake"]) == [accuracy]
    assert format_reward([text]) == [form]
    assert hybrid_reward([text], question_bank=["simple"]) == [simple]
    assert hybrid_reward([text], question_bank=["hard"]) == [hard]


@by_case
def test_the_neutral_hard_bank_gives_every_completion_the_same(case):
    text, *_, simple, _ = case
    reward = HybridReward(hard_bank="neutral")
    assert reward([text, text], question_bank=["hard", "simple"]) == [0.0, simple]


def call_like_trl(reward, completions, **columns):
    """Call as TRL 1.16 does: by keyword, with all columns and its own extras."""
    texts = [[{"role": "assistant", "content": text}] for text in completions]
    ids = [[0] * len(text) for text in completions]
    extras = {"trainer_state": None, "log_extra": None, "log_metric": lambda name, value: None}
    prompts = [[{"role": "user", "content": "?"}]] * len(completions)
    return reward(prompts=prompts, completions=texts, completion_ids=ids, **columns, **extras)


def test_rewards_take_trl_s_call_and_keep_the_order():
    columns = {
        "label": ["fake", "real", "fake"],
        "question_bank": ["simple", "simple", "hard"],
        "id": ["a", "b", "c"],
        "images": [[], [], []],
    }
    completions = [DIRECT, DIRECT, BARE]
    assert call_like_trl(accuracy_reward, completions, **columns) == [1.0, 0.0, 1.0]
    assert call_like_trl(format_reward, completions, **columns) == [1.0, 1.0, 0.0]
    assert call_like_trl(hybrid_reward, completions, **columns) == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("bank", QUESTION_BANKS)
@pytest.mark.parametrize("label", ["real", "fake"])
def test_every_gold_completion_earns_every_reward(label, bank):
    gold = [render_answer(label, "Edges are soft." if bank == "hard" else "")]
    columns = {"label": [label], "question_bank": [bank]}
    for reward in (accuracy_reward, format_reward, hybrid_reward):
        assert call_like_trl(reward, gold, **columns) == [1.0]


@pytest.mark.parametrize(
    ("completion", "bank", "total"),
    [
        (DIRECT, "simple", 1.0),  # 0.8 * 1 + 0.1 * 1 + 0.1 * 1
        (REASONED, "simple", 0.9),  # 0.8 * 1 + 0.1 * 1 + 0.1 * 0
        (DIRECT, "hard", 0.9),  # 0.8 * 1 + 0.1 * 1 + 0.1 * 0
        (BARE, "simple", 0.8),  # 0.8 * 1 + 0.1 * 0 + 0.1 * 0
        (HIDDEN, "simple", 0.8),  # 0.8 * 1 + 0.1 * 0 + 0.1 * 0
        (WRONG, "simple", 0.2),  # 0.8 * 0 + 0.1 * 1 + 0.1 * 1
        ("", "simple", 0.0),
    ],
)
def test_the_weighted_total_of_equation_3(completion, bank, total):
    weights = [0.8, 0.1, 0.1]
    rewards = [
        accuracy_reward([completion], label=["fake"])[0],
        format_reward([completion])[0],
        hybrid_reward([completion], question_bank=[bank])[0],
    ]
    assert sum(w * r for w, r in zip(weights, rewards, strict=True)) == pytest.approx(total)


@pytest.mark.parametrize(
    ("reward", "columns", "message"),
    [
        (accuracy_reward, {}, "data set column 'label'.*build the data set"),
        (hybrid_reward, {}, "data set column 'question_bank'"),
        (accuracy_reward, {"label": ["real"]}, "1 values for 2 completions"),
        (accuracy_reward, {"label": ["real", "Fake"]}, "unknown label 'Fake'.*'real', 'fake'"),
        (accuracy_reward, {"label": [0, 1]}, "unknown label 0"),
        (hybrid_reward, {"question_bank": ["simple", "easy"]}, "unknown question bank 'easy'"),
    ],
)
def test_bad_columns_are_refused_with_what_to_do(reward, columns, message):
    with pytest.raises(UserError, match=message):
        reward([DIRECT, DIRECT], **columns)


@pytest.mark.parametrize("completion", [None, 3, [], [{"role": "assistant"}], ["fake"]])
def test_what_is_no_completion_is_refused(completion):
    with pytest.raises(UserError, match="expected a string or a list of turns"):
        format_reward([completion])


@pytest.mark.parametrize(
    ("content", "reward"),
    [(DIRECT, 1.0), ([{"type": "text", "text": DIRECT}], 1.0), (None, 0.0), ([], 0.0)],
)
def test_a_turn_s_content_may_be_text_blocks_or_nothing(content, reward):
    assert format_reward([[{"role": "assistant", "content": content}]]) == [reward]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hard_bank": "none"}, r"hard_bank is 'none'.*require_thinking.*neutral.*off"),
        ({"neutral_bank": "off"}, r"neutral_bank is 'off'.*neutral.*pass_rate.*gain"),
    ],
)
def test_an_unknown_rule_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        HybridReward(**settings)


@pytest.mark.parametrize("reward", [accuracy_reward, format_reward, hybrid_reward])
def test_rewards_have_a_name_and_can_be_pickled(reward):
    again = pickle.loads(pickle.dumps(reward))
    assert again.__name__ == reward.__name__
    columns = {"label": ["fake"], "question_bank": ["simple"]}
    assert again([DIRECT], **columns) == [1.0]


def test_pickling_keeps_the_settings():
    reward = HybridReward("neutral", "gain", False, 0.3, 0.1)
    assert pickle.loads(pickle.dumps(reward)) == reward


def test_a_hard_bank_that_is_off_is_not_scored_and_the_simple_one_is():
    reward = HybridReward(hard_bank="off")
    assert reward([REASONED, DIRECT], question_bank=["hard", "simple"]) == [None, 1.0]


# What the policy writes for the think block of a hard question, without thinking.
HACKS = {
    "one word": "Edges.",
    "two words": "soft edges",
    "one word many times": "soft soft soft soft soft",
    "punctuation": "... --- !!! ???",
    "the verdict again": "This image is fake.",
    "a verdict with manners": "I think that this image is probably fake, my final answer is fake.",
    "a sentence in a loop": "Edges are soft. " * 4,
    "a long loop": "The shadows fall to the left and the light is warm. " * 20,
    "a reason and then a loop": "Edges are soft and shadows differ. " + "so it is fake " * 9,
}
by_hack = pytest.mark.parametrize("reasoning", HACKS.values(), ids=HACKS.keys())


@by_hack
def test_reasoning_in_form_only_earns_nothing(reasoning):
    completion = [f"<think>\n{reasoning}\n</think>fake"]
    assert hybrid_reward(completion, question_bank=["hard"]) == [0.0]
    assert hybrid_reward(completion, question_bank=["simple"]) == [0.0]  # nor does it pass for none


@by_hack
def test_without_the_guard_the_reward_is_the_letter(reasoning):
    reward = HybridReward(guard_reasoning=False)
    assert reward([f"<think>\n{reasoning}\n</think>fake"], question_bank=["hard"]) == [1.0]


@pytest.mark.parametrize(
    "completion",
    [
        "<think></think>Edges are soft and shadows differ, so fake",
        "Edges are soft and shadows differ. <think></think>fake",
        "<think></think>fake because edges are soft",
        "<think></think>\n<think>Edges are soft and shadows differ.</think>fake",
        "<THINK>Edges are soft and shadows differ.</THINK>fake",
        "<think></think>fake\n\nEdges are soft and shadows differ.",
    ],
)
@pytest.mark.parametrize("guard", [True, False])
@pytest.mark.parametrize("bank", QUESTION_BANKS)
def test_reasoning_outside_of_the_tags_earns_nothing(completion, guard, bank):
    assert HybridReward(guard_reasoning=guard)([completion], question_bank=[bank]) == [0.0]


@pytest.mark.parametrize(
    "reasoning",
    [
        pytest.param("Edges are soft.", id="short"),
        pytest.param("Edges are soft. Edges are soft.", id="said twice"),
        pytest.param(
            "Fine detail is weak. Flat areas are very smooth. Edges are soft. Texture is even. "
            "Colour varies little.",
            id="fixed phrases",
        ),
        pytest.param(
            "The image is fake because the image shows a hand with six fingers, and the image has "
            "a watch whose hands the image renders as one blurred stroke.",
            id="a phrase that returns",
        ),
    ],
)
def test_reasoning_keeps_its_reward(reasoning):
    assert hybrid_reward([f"<think>{reasoning}</think>fake"], question_bank=["hard"]) == [1.0]


def test_every_reasoning_of_the_embedded_set_keeps_its_reward():
    combinations = itertools.product(LEVELS, repeat=len(PHRASES))
    reasonings = [describe(dict(zip(PHRASES, c, strict=True))) for c in combinations]
    assert len(set(reasonings)) > 100
    assert {find_hack(reasoning) for reasoning in reasonings} == {None}
    assert max(map(repeated_share, reasonings)) == 0.0


# rule, settings, pass rates under simple and hard questions, whether thinking is wanted
DIFFICULTY = [
    pytest.param("pass_rate", {}, 0.4, 0.0, True, id="often wrong without thinking"),
    pytest.param("pass_rate", {}, 0.6, 1.0, False, id="right often enough"),
    pytest.param("pass_rate", {"enough_right": 1.0}, 0.8, 0.8, True, id="asks for always right"),
    pytest.param("gain", {}, 0.2, 0.6, True, id="thinking helps"),
    pytest.param("gain", {}, 0.2, 0.4, False, id="helps no more than the margin"),
    pytest.param("gain", {}, 0.8, 0.2, False, id="thinking harms"),
    pytest.param("gain", {"thinking_gain": 0.1}, 0.2, 0.4, True, id="smaller margin"),
]


@pytest.mark.parametrize(("rule", "settings", "simple", "hard", "thinking"), DIFFICULTY)
def test_a_neutral_question_wants_what_the_image_needs(rule, settings, simple, hard, thinking):
    reward = HybridReward(neutral_bank=rule, **settings)
    rates = {"pass_rate_simple": [simple] * 3, "pass_rate_hard": [hard] * 3}
    completions = [DIRECT, REASONED, "<think>Edges.</think>fake"]
    expected = [float(not thinking), float(thinking), 0.0]
    assert call_like_trl(reward, completions, question_bank=["neutral"] * 3, **rates) == expected


def test_difficulty_leaves_the_other_banks_alone():
    reward = HybridReward(neutral_bank="pass_rate")
    columns = {"question_bank": ["simple", "hard"], "pass_rate_simple": [0.0, 1.0]}
    assert call_like_trl(reward, [DIRECT, REASONED], **columns) == [1.0, 1.0]
    assert reward([DIRECT], question_bank=["simple"]) == [1.0]  # which need no column


def test_neutral_questions_earn_the_same_in_either_mode_by_default():
    assert hybrid_reward([DIRECT, REASONED], question_bank=["neutral"] * 2) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("rule", "columns", "message"),
    [
        ("pass_rate", {}, "column 'pass_rate_simple', which the data set lacks"),
        ("gain", {"pass_rate_simple": [0.5]}, "column 'pass_rate_hard'"),
        ("pass_rate", {"pass_rate_simple": [None]}, "row 0 of the batch lacks"),
    ],
)
def test_a_missing_pass_rate_is_refused_with_what_to_do(rule, columns, message):
    with pytest.raises(UserError, match=f"{message}.*--measure both"):
        HybridReward(neutral_bank=rule)([DIRECT], question_bank=["neutral"], **columns)


def test_the_log_tells_images_that_need_thinking_from_others():
    logged = []
    HybridReward(neutral_bank="pass_rate")(
        [DIRECT, REASONED, REASONED],
        question_bank=["neutral", "neutral", "simple"],
        pass_rate_simple=[0.0, 1.0, 1.0],
        log_metric=lambda name, value: logged.append((name, value)),
    )
    assert [entry for entry in logged if "needs" in entry[0]] == [
        ("thinking_rate/neutral/needs_thinking", 0.0),
        ("thinking_rate/neutral/needs_none", 1.0),
    ]


def test_modes_and_verdicts_are_logged_one_call_a_completion():
    logged = []
    hybrid_reward(
        [DIRECT, HIDDEN, f"<think>{'soft ' * 20}</think>real", "<think>"],
        question_bank=["simple", "simple", "hard", "hard"],
        label=["fake", "real", "fake", "fake"],
        completion_ids=[[1, 2], [1, 2, 3], [1], []],
        log_metric=lambda name, value: logged.append((name, value)),
    )
    assert logged == [
        ("thinking_rate/simple", 0.0),
        ("repeated_share/simple", 0.0),
        ("completion_length/simple", 2.0),
        ("thinking_rate/simple", 1.0),  # hidden reasoning is thinking
        ("repeated_share/simple", 0.0),
        ("completion_length/simple", 3.0),
        ("thinking_rate/hard", 1.0),
        ("repeated_share/hard", pytest.approx(19 / 28)),  # all but the first "soft", and the tags
        ("completion_length/hard", 1.0),
        ("thinking_rate/hard", 0.0),
        ("repeated_share/hard", 0.0),
        ("completion_length/hard", 0.0),
        ("says_fake/fake", 1.0),
        ("says_fake/real", 1.0),
        ("says_fake/fake", 0.0),  # the unclosed one gives no verdict and does not count
    ]
