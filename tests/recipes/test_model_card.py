"""The card of a trained model says how it was made and what its evaluation found."""

import json
from pathlib import Path

import pytest
import yaml

from recipes.model_card import add_evaluation, write_model_card

RUN = {
    "config": {"model_name_or_path": "org/base", "dataset_name": "data/x", "seed": 3, "beta": None},
    "n_rows": 7,
    "dataset_fingerprint": "f00",
    "model_fingerprint": "ba5e",
    "git_commit": "c0ffee",
    "packages": {"trl": "1.16.0"},
}
TABLE = "| Method |\n|---|\n| RL |\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    write_model_card(tmp_path, "HGRPO", {"global_step": 60, "best_checkpoint": "checkpoint-40"})
    return tmp_path


def test_card_says_how_the_model_was_made(model: Path) -> None:
    card = (model / "README.md").read_text()
    assert yaml.safe_load(card.split("---")[1])["base_model"] == "org/base"
    for fact in ("| seed | 3 |", "| steps | 60 |", "f00", "ba5e", "c0ffee", "trl 1.16.0"):
        assert fact in card
    assert "| best checkpoint | checkpoint-40 |" in card
    assert "| beta |" not in card
    assert "Not evaluated yet" in card


def test_an_evaluation_takes_the_place_of_the_one_before(model: Path) -> None:
    add_evaluation(model, TABLE.replace("RL", "earlier"), "data/earlier")
    add_evaluation(model, TABLE, "data/test")
    card = (model / "README.md").read_text()
    assert "| RL |" in card
    assert "On `data/test`" in card
    assert "earlier" not in card
    assert "Not evaluated yet" not in card


def test_a_card_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("## Evaluation\ntheirs")
    add_evaluation(tmp_path, TABLE, "data/test")
    add_evaluation("org/hub-model", TABLE, "data/test")
    assert (tmp_path / "README.md").read_text() == "## Evaluation\ntheirs"
