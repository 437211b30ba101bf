import pickle

import pytest

from rewards import (
    QUESTION_BANKS,
    HybridReward,
    accuracy_reward,
    format_reward,
    hybrid_reward,
    render_answer,
)
from rewards.errors import UserError

DIRECT, REASONED = "<think></think>fake", "<think>Edges.</think>fake"
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
    "label in the reasoning": ("<think>fake</think>real", 0.0, 1.0, 0.0, 1.0),
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
    gold = [render_answer(label, "Edges." if bank == "hard" else "")]
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


def test_an_unknown_rule_for_the_hard_bank_is_refused():
    with pytest.raises(UserError, match=r"hard_bank is 'none'.*require_thinking.*neutral"):
        HybridReward(hard_bank="none")


@pytest.mark.parametrize("reward", [accuracy_reward, format_reward, hybrid_reward])
def test_rewards_have_a_name_and_can_be_pickled(reward):
    again = pickle.loads(pickle.dumps(reward))
    assert again.__name__ == reward.__name__
    columns = {"label": ["fake"], "question_bank": ["simple"]}
    assert again([DIRECT], **columns) == [1.0]


def test_pickling_keeps_the_rule_of_the_hard_bank():
    again = pickle.loads(pickle.dumps(HybridReward("neutral")))
    assert again([REASONED], question_bank=["hard"]) == [0.0]


def test_thinking_and_length_are_logged_by_bank_one_call_a_completion():
    logged = []
    hybrid_reward(
        [DIRECT, HIDDEN, REASONED],
        question_bank=["simple", "simple", "hard"],
        completion_ids=[[1, 2], [1, 2, 3], [1]],
        log_metric=lambda name, value: logged.append((name, value)),
    )
    assert logged == [
        ("thinking_rate/simple", 0.0),
        ("completion_length/simple", 2.0),
        ("thinking_rate/simple", 1.0),  # hidden reasoning is thinking
        ("completion_length/simple", 3.0),
        ("thinking_rate/hard", 1.0),
        ("completion_length/hard", 1.0),
    ]
