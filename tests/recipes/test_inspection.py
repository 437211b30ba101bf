"""A batch that goes wrong ends the run and is kept."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from recipes.inspection import StopsOnBadCompletions, StopsOnBadLoss
from rewards.errors import UserError

ROWS = [{"id": "a", "label": "real", "question_bank": "simple", "prompt": [], "images": [object()]}]


class _Stock:
    """Stands in for a trainer class."""

    def __init__(self, output_dir: Path, *, loss: float = 1.0, error: Exception | None = None):
        self.args = SimpleNamespace(output_dir=str(output_dir), process_index=0)
        self.model = SimpleNamespace(training=True)
        self.state = SimpleNamespace(global_step=4)
        self.processing_class = SimpleNamespace(
            batch_decode=lambda ids: [" ".join(map(str, row.tolist())) for row in ids]
        )
        self.loss, self.error = loss, error

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False) -> Any:
        loss = torch.tensor(self.loss)
        return (loss, {}) if return_outputs else loss

    def _calculate_rewards(self, *args: Any) -> str:
        if self.error is not None:
            raise self.error
        return "rewards"


class _Trainer(StopsOnBadLoss, StopsOnBadCompletions, _Stock):
    pass


def saved(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "bad_batch" / "rank-0.json").read_text())


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_ends_the_run_and_the_batch_is_kept(
    tmp_path: Path, loss: float
) -> None:
    inputs = {"input_ids": torch.tensor([[1, 2]]), "pixel_values": torch.tensor([math.nan])}
    with pytest.raises(
        UserError, match=r"the loss is .* in step 5: the batch is saved in .*rank-0"
    ):
        _Trainer(tmp_path, loss=loss).compute_loss(None, inputs)
    record = saved(tmp_path)
    assert record["texts"] == {"input_ids": ["1 2"]}
    assert record["not_finite"] == ["pixel_values"]
    kept = torch.load(tmp_path / "bad_batch" / "rank-0.pt")
    assert torch.equal(kept["input_ids"], inputs["input_ids"])


@pytest.mark.parametrize("return_outputs", [False, True])
def test_a_finite_loss_passes(tmp_path: Path, return_outputs: bool) -> None:
    result = _Trainer(tmp_path).compute_loss(None, {}, return_outputs)
    assert (result[0] if return_outputs else result) == 1.0
    assert not (tmp_path / "bad_batch").exists()


def test_validation_may_have_any_loss(tmp_path: Path) -> None:
    trainer = _Trainer(tmp_path, loss=math.nan)
    trainer.model.training = False
    assert math.isnan(trainer.compute_loss(None, {}))


@pytest.mark.parametrize("text", ["", " \n"])
def test_completions_that_are_all_empty_end_the_run(tmp_path: Path, text: str) -> None:
    completions = [[{"role": "assistant", "content": text}]]
    with pytest.raises(UserError, match="all 1 completions of this process are empty"):
        _Trainer(tmp_path)._calculate_rewards(ROWS, [], completions, [])
    assert saved(tmp_path)["completions"] == [
        {"id": "a", "question_bank": "simple", "label": "real", "prompt": [], "completion": text}
    ]


def test_one_answer_among_empty_ones_is_scored(tmp_path: Path) -> None:
    completions = ["", "<think></think>real"]
    assert _Trainer(tmp_path)._calculate_rewards(ROWS * 2, [], completions, []) == "rewards"


def test_a_reward_that_raises_ends_the_run_with_its_completions_kept(tmp_path: Path) -> None:
    trainer = _Trainer(tmp_path, error=ZeroDivisionError("by zero"))
    with pytest.raises(UserError, match="a reward raised ZeroDivisionError in step 5: by zero"):
        trainer._calculate_rewards(ROWS, [], ["fake"], [])
    assert saved(tmp_path)["completions"][0]["completion"] == "fake"
