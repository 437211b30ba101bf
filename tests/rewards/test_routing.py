import pytest

from rewards.difficulty import bank_swap, difficulty_table, easy_images
from rewards.errors import UserError
from rewards.judged import judge
from rewards.routing import routing, routing_metrics
from rewards.sample_records import SampledRow
from rewards.sampled import count_votes
from tests.rewards.made_up import prediction

DIRECT, THINK = "<think></think>{}", "<think>\nthe grain is uneven\n</think>{}"


def answers(kinds: str, bank: str = "neutral", tokens: tuple[int, int] = (5, 20)):
    """Return answers to real images: D, T right directly or thinking, d, t wrong."""
    return judge(
        [
            prediction(
                str(i),
                completion=(THINK if kind in "Tt" else DIRECT).format(
                    "real" if kind.isupper() else "fake"
                ),
                n_completion_tokens=tokens[kind in "Tt"],
                bank=bank,
            )
            for i, kind in enumerate(kinds)
        ]
    )


def test_routing_by_hand():
    # image:           0: both right  1: direct alone  2: think alone  3: neither  4: think alone
    free, direct, think = answers("DtTdd"), answers("DDddd"), answers("TtTtT")
    result = routing_metrics(free, direct, think, 0, 0)
    accuracy = {name: part["value"] for name, part in result["accuracy"].items()}
    assert accuracy == {"routed": 2 / 5, "direct": 2 / 5, "think": 3 / 5, "oracle": 4 / 5}
    assert result["regret"]["value"] == pytest.approx(4 / 5 - 2 / 5)
    assert result["gain_over_best_mode"]["value"] == pytest.approx(2 / 5 - 3 / 5)
    # better mode: direct (shorter), direct, think, direct (shorter), think; chosen: D, t, T, d, d
    assert result["hybrid_accuracy"]["value"] == 3 / 5
    assert result["hybrid_accuracy_where_it_matters"]["value"] == 1 / 3  # images 1, 2 and 4
    assert result["counts"] == {"both_right": 1, "direct_alone": 1, "think_alone": 2, "neither": 1}
    # tokens: routed 3 direct + 2 thinking, oracle likewise
    assert result["mean_completion_tokens"] == {
        "routed": (3 * 5 + 2 * 20) / 5,
        "direct": 5,
        "think": 20,
        "oracle": (3 * 5 + 2 * 20) / 5,
    }
    assert result["token_saving"]["value"] == pytest.approx(1 - 11 / 20)
    assert result["thinking_rate_where_think_alone_is_right"]["value"] == 1 / 2
    assert result["thinking_rate_where_direct_alone_is_right"]["value"] == 1


def test_a_free_answer_can_beat_both_forced_ones():
    result = routing_metrics(answers("D"), answers("d"), answers("t"), 0, 0)
    assert result["regret"]["value"] == -1


def test_a_perfect_router_has_no_regret_and_an_interval():
    direct, think = answers("Dd" * 20), answers("tT" * 20)
    result = routing_metrics(answers("DT" * 20), direct, think, 200, 0)
    assert result["regret"] == {"value": 0.0, "ci95": [0.0, 0.0]}
    assert result["hybrid_accuracy"] == {"value": 1.0, "ci95": [1.0, 1.0]}
    low, high = result["accuracy"]["direct"]["ci95"]
    assert low < 0.5 < high


def test_the_sets_are_joined_by_id_and_bank():
    result = routing(answers("DDD"), answers("DD"), answers("TTTT"), 0, 0)
    assert (result["n_common"], result["n_left_out"]) == (2, [1, 0, 2])
    assert result["neutral"]["n"] == 2
    assert result["n_forced_direct_that_think"] == 0
    with pytest.raises(UserError, match="no id and bank in common"):
        routing(answers("D"), answers("D", "simple"), answers("T"), 0, 0)


def two_banks(simple: str, hard: str):
    both = [
        prediction(
            str(i),
            completion=(THINK if kind in "Tt" else DIRECT).format(
                "real" if kind.isupper() else "fake"
            ),
            bank=bank,
        )
        for bank, kinds in (("simple", simple), ("hard", hard))
        for i, kind in enumerate(kinds)
    ]
    return judge(both)


def test_question_against_image_by_hand():
    # images 0, 1 are easy, 2, 3 difficult; 4 was not forced
    judged = two_banks("DDDTT", "DTTTT")
    origin, easy = easy_images(answers("DDdd"), None, None) or ("", {})
    table = difficulty_table(judged, origin, easy, 0, 0)
    assert (table["n_easy"], table["n_difficult"], table["n_unknown"]) == (2, 2, 1)
    rates = {
        (bank, name): cell["thinking_rate"]["value"]
        for bank, cells in table["cells"].items()
        for name, cell in cells.items()
    }
    assert rates == {
        ("simple", "easy"): 0,
        ("simple", "difficult"): 1 / 2,
        ("hard", "easy"): 1 / 2,
        ("hard", "difficult"): 1,
    }
    assert {b: e["value"] for b, e in table["image_effect"].items()} == {"simple": 0.5, "hard": 0.5}
    assert table["question_effect"]["difficult"]["value"] == 0.5


def test_difficulty_from_samples_takes_those_that_do_not_think():
    rows = [
        SampledRow("a", "simple", "real", [DIRECT.format("real"), THINK.format("fake")], [5, 20]),
        SampledRow("b", "simple", "real", [DIRECT.format("fake"), THINK.format("real")], [5, 20]),
        SampledRow("c", "simple", "real", [THINK.format("real")], [20]),
    ]
    assert easy_images(None, (rows, count_votes(rows)), {("c", "simple"): (1, 1)}) == (
        "samples",
        {"a": True, "b": False},
    )
    assert easy_images(None, None, {("c", "simple"): (2, 5)}) == ("pass_rates", {"c": False})
    assert easy_images(None, None, None) is None


def test_bank_swap_by_hand():
    result = bank_swap(two_banks("DDdd", "TtTd"), 0, 0)
    assert result is not None
    assert result["n"] == 4
    assert result["mode_changes"]["value"] == 3 / 4
    assert result["verdict_changes"]["value"] == 2 / 4
    assert result["accuracy_change"]["value"] == 0
    assert result["counts"] == {"both_right": 1, "simple_alone": 1, "hard_alone": 1, "neither": 1}
    assert bank_swap(answers("DD"), 0, 0) is None
