"""The mean reward before and after RL, by hand arithmetic."""

import json

import pytest

from recipes.reward_gain import reward_gain
from rewards.errors import UserError

WEIGHTS = (0.8, 0.1, 0.1)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(row_id, bank, completions):
    return {"id": row_id, "question_bank": bank, "label": "real", "completions": completions}


def test_difference_of_the_weighted_means(tmp_path):
    right, wrong, chatty = "<think></think>real", "<think></think>fake", "<think>x</think>real"
    before = write(
        tmp_path / "a.jsonl",
        [
            row("1", "simple", [right, wrong]),  # (1.0 + 0.2) / 2 = 0.6
            row("2", "simple", [chatty, "?"]),  # (0.9 + 0.0) / 2 = 0.45
        ],
    )
    after = write(
        tmp_path / "b.jsonl",
        [
            row("1", "simple", [right, right]),  # 1.0
            row("2", "simple", [right, wrong]),  # 0.6
        ],
    )
    gain = reward_gain(before, after, WEIGHTS, {"1": "p", "2": "q"})
    assert gain["before"] == pytest.approx(0.525)
    assert gain["after"] == pytest.approx(0.8)
    assert gain["difference"] == pytest.approx(0.275)
    # Two photographs: a round draws gains 0.4 and 0.15 in all mixtures.
    assert gain["ci95"] == pytest.approx([0.15, 0.4])


def test_other_rows_are_refused(tmp_path):
    before = write(tmp_path / "a.jsonl", [row("1", "hard", ["real"])])
    after = write(tmp_path / "b.jsonl", [row("2", "hard", ["real"])])
    with pytest.raises(UserError, match="different rows"):
        reward_gain(before, after, WEIGHTS, {"1": "p", "2": "p"})
