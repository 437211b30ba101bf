"""The real trainers stop at a bad batch, whichever way it is bad, and keep it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText
from trl import GRPOConfig, ModelConfig, SFTConfig

from recipes import grpo
from recipes.demo import BASE_MODEL
from recipes.grpo_arguments import GRPOArguments
from recipes.resume import ResumableSFTTrainer
from recipes.vlm import load_processor
from rewards.errors import UserError
from tests.recipes.conftest import small_rows

SETTINGS: dict[str, Any] = {
    "max_steps": 1,
    "per_device_train_batch_size": 4,
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "report_to": "none",
    "save_strategy": "no",
    "disable_tqdm": True,
}


def saved(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "bad_batch" / "rank-0.json").read_text(encoding="utf-8"))


def grpo_trainer(folder: Path, **settings: Any) -> Any:
    config = GRPOConfig(
        output_dir=str(folder),
        num_generations=2,
        max_completion_length=8,
        beta=0.1,
        reward_weights=[0.8, 0.1, 0.1],
        **SETTINGS,
        **settings,
    )
    models = ModelConfig(model_name_or_path=str(BASE_MODEL), dtype="float32")
    arguments = GRPOArguments(dataset_name="", completions_every=0)
    return grpo.make_trainer(arguments, config, models, small_rows(4), [])


def poison(model: Any) -> None:
    with torch.no_grad():
        model.model.visual.patch_embed.proj.weight[0] = math.nan


def test_sft_stops_at_a_loss_that_is_no_number(tmp_path: Path) -> None:
    model = AutoModelForImageTextToText.from_pretrained(str(BASE_MODEL), dtype=torch.float32)
    poison(model)
    trainer = ResumableSFTTrainer(
        model=model,
        args=SFTConfig(output_dir=str(tmp_path), max_length=None, **SETTINGS),
        train_dataset=small_rows(4),
        processing_class=load_processor(str(BASE_MODEL)),
    )
    with pytest.raises(UserError, match="the loss is nan in step 1: the batch is saved in"):
        trainer.train()
    assert len(saved(tmp_path)["texts"]["input_ids"]) == 4
    tensors = torch.load(tmp_path / "bad_batch" / "rank-0.pt")
    assert {"input_ids", "labels", "pixel_values", "image_grid_thw"} <= tensors.keys()


def test_grpo_stops_at_a_loss_that_is_no_number(tmp_path: Path) -> None:
    trainer = grpo_trainer(tmp_path)
    poison(trainer.ref_model)  # the policy itself would not even sample
    with pytest.raises(UserError, match="the loss is nan in step 1: the batch is saved in"):
        trainer.train()
    assert saved(tmp_path)["not_finite"] == ["ref_per_token_logps"]
    assert len(saved(tmp_path)["texts"]["completion_ids"]) == 4


def test_grpo_stops_when_no_completion_says_anything(tmp_path: Path) -> None:
    end: Any = load_processor(str(BASE_MODEL))
    only_the_end = {"max_new_tokens": 1, "forced_eos_token_id": end.tokenizer.eos_token_id}
    trainer = grpo_trainer(tmp_path, generation_kwargs=only_the_end)
    with pytest.raises(UserError, match="all 4 completions of this process are empty in step 1"):
        trainer.train()
    rows = saved(tmp_path)["completions"]
    assert [row["completion"] for row in rows] == [""] * 4
    assert len({row["id"] for row in rows}) == 2


def test_grpo_stops_at_a_reward_that_raises(tmp_path: Path, monkeypatch: Any) -> None:
    def format_reward(completions: Any, **kwargs: Any) -> list[float]:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(grpo, "format_reward", format_reward)
    with pytest.raises(UserError, match="a reward raised ZeroDivisionError in step 1: by zero"):
        grpo_trainer(tmp_path).train()
    assert len(saved(tmp_path)["completions"]) == 4
