"""Weights come back from a checkpoint; see also test_pipeline.py, which resumes a killed run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, PreTrainedModel

from recipes.demo import BASE_MODEL
from recipes.resume import ResumesWeights

MODEL = str(Path(__file__).parents[2] / BASE_MODEL)


class _Stock:
    """Stands in for a trainer class."""

    is_fsdp_enabled = False

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.n_stock_calls = 0

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.n_stock_calls += 1


class _Resumable(ResumesWeights, _Stock):
    pass


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Return a checkpoint whose weights are all 0.5."""
    model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.float32)
    for weight in model.parameters():
        weight.data.fill_(0.5)
    model.save_pretrained(tmp_path)
    return tmp_path


def test_every_weight_comes_back(checkpoint: Path) -> None:
    trainer = _Resumable(AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.float32))
    trainer._load_from_checkpoint(str(checkpoint))
    for name, weight in trainer.model.named_parameters():
        assert (weight == 0.5).all(), name
        assert weight.dtype == torch.float32
    assert trainer.n_stock_calls == 0


def test_the_fix_is_still_needed(checkpoint: Path) -> None:
    """Fails when the saved names are the model's own: then recipes/resume.py can go."""
    model = AutoModelForImageTextToText.from_pretrained(MODEL)
    saved = load_file(checkpoint / "model.safetensors")
    assert not set(saved) & set(model.state_dict())


def test_fsdp_keeps_its_own_way(checkpoint: Path) -> None:
    trainer = _Resumable(AutoModelForImageTextToText.from_pretrained(MODEL))
    trainer.is_fsdp_enabled = True
    trainer._load_from_checkpoint(str(checkpoint))
    assert trainer.n_stock_calls == 1
