"""A GRPO step with shared images has the samples, loss and gradient of TRL's own."""

from pathlib import Path
from typing import Any

import pytest
from trl import GRPOConfig, ModelConfig

from recipes import grpo
from recipes.demo import BASE_MODEL
from recipes.grpo_arguments import GRPOArguments
from recipes.image_tokens import ImageTokenGRPOTrainer
from tests.recipes.conftest import small_rows


def one_step(folder: Path, kind: type[Any]) -> dict[str, float]:
    config = GRPOConfig(
        output_dir=str(folder),
        max_steps=1,
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=16,
        loss_type="dr_grpo",
        beta=0.1,
        reward_weights=[0.8, 0.1, 0.1],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        seed=3,
    )
    folder.mkdir()
    models = ModelConfig(model_name_or_path=str(BASE_MODEL), dtype="float32")
    arguments = GRPOArguments(dataset_name="", completions_every=0)
    trainer = grpo.make_trainer(arguments, config, models, small_rows(4), [], kind=kind)
    trainer.train()
    return trainer.state.log_history[0]


def test_a_step_is_that_of_the_stock_trainer(tmp_path: Path, monkeypatch: Any) -> None:
    def accuracy_reward(completions: Any, **kwargs: Any) -> list[float]:
        """Reward what differs between answers; the base model is never right."""
        return [float(sum(map(ord, completion[0]["content"])) % 7) for completion in completions]

    monkeypatch.setattr(grpo, "accuracy_reward", accuracy_reward)
    stock = one_step(tmp_path / "stock", ImageTokenGRPOTrainer)
    ours = one_step(tmp_path / "ours", grpo.HybridGRPOTrainer)
    assert stock["grad_norm"] > 0
    assert stock["frac_reward_zero_std"] < 1
    for name in ("reward", "completions/mean_length", "loss", "grad_norm", "entropy", "kl"):
        assert ours[name] == pytest.approx(stock[name], rel=1e-4, abs=1e-7), name
