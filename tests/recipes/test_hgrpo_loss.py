"""Eq. 1 and 2 in plain NumPy, float64, against what TRL's trainer makes of the shipped settings.

The trainer is the recipe's own, with a real model, processor, reference and rewards; only the
completions are given, and the log-probabilities that vLLM would have reported for them. Between
sampling and loss the policy moves, so that ratios leave the clipping range on both sides.
"""

import functools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from trl import GRPOConfig, ModelConfig

from recipes.config import parse, read_yaml
from recipes.demo import BASE_MODEL
from recipes.grpo import make_trainer
from recipes.grpo_arguments import GRPOArguments
from rewards import accuracy_reward, format_reward, hybrid_reward
from tests.recipes.conftest import small_rows

ROOT = Path(__file__).parents[2]
YAML = ROOT / "recipes" / "configs" / "demo" / "grpo.yaml"
SETTINGS = read_yaml(YAML)
G = SETTINGS["num_generations"]
EPSILON, BETA = SETTINGS["epsilon"], SETTINGS["beta"]
MAX_RATIO, MAX_LENGTH = 2.0, SETTINGS["max_completion_length"]

DIRECT, WRONG = "<think></think>fake", "<think></think>real"
REASONED = "<think>\nEdges are soft. Texture is even. Colour varies little.\n</think>"
LONG = "<think>\n" + "Fine detail is weak. Flat areas are very smooth. " * 2 + "\n</think>fake"
CUT = "<think>\nFine detail is weak. Flat areas are very"  # never ends: truncated
# One list a row of small_rows: simple real, simple fake, hard real.
COMPLETIONS = [
    [WRONG, DIRECT, DIRECT, REASONED + "real", REASONED + "fake", "real", LONG, WRONG],
    [DIRECT] * 8,  # nothing to learn: no variance
    [REASONED + "real", REASONED + "fake", WRONG, LONG, CUT, CUT, DIRECT, "fake"],
]
TEXTS = [text for texts in COMPLETIONS for text in texts]
NEAR: list[torch.Tensor] = []  # what the trainer gives the completions when they are sampled


class Batch(NamedTuple):
    """Log-probabilities of B completions of up to T tokens, float64, and what else Eq. 1 needs."""

    theta: np.ndarray
    old: np.ndarray
    ref: np.ndarray
    sampler: np.ndarray
    mask: np.ndarray
    advantage: np.ndarray


def advantages_of(rewards: np.ndarray) -> np.ndarray:
    """Eq. 2, with TRL's unbiased standard deviation and its 1e-4."""
    groups = rewards.reshape(-1, G)
    spread = groups.std(axis=1, ddof=1, keepdims=True) + 1e-4
    return ((groups - groups.mean(axis=1, keepdims=True)) / spread).ravel()


def token_terms(theta: np.ndarray, batch: Batch) -> np.ndarray:
    """What each token adds to the objective of Eq. 1, shape (B, T)."""
    advantage = batch.advantage[:, None]
    ratio = np.exp(theta - batch.old)
    clipped = np.clip(ratio, 1 - EPSILON, 1 + EPSILON)
    surrogate = np.minimum(ratio * advantage, clipped * advantage)
    correction = np.minimum(np.exp(batch.old - batch.sampler), MAX_RATIO)  # departs from the paper
    kl = np.exp(batch.ref - theta) - (batch.ref - theta) - 1  # k3, no ratio
    return (correction * surrogate - BETA * kl) * batch.mask


def weights_of(batch: Batch, loss_type: str) -> np.ndarray:
    """What a completion's tokens are divided by, shape (B, 1).

    Eq. 1 as printed divides by the number of completions alone; ``dr_grpo`` divides by a constant
    as well. DeepSeekMath's form divides by the completion's length.
    """
    lengths = batch.mask.sum(axis=1, keepdims=True)
    divisor = {"dr_grpo": np.full_like(lengths, MAX_LENGTH), "grpo": np.maximum(lengths, 1)}
    return 1 / (len(batch.mask) * divisor[loss_type])


def expected(batch: Batch, loss_type: str) -> tuple[float, np.ndarray]:
    """Return the loss, and its gradient to the log-probabilities by central differences."""
    weights = weights_of(batch, loss_type)
    loss = -float((weights * token_terms(batch.theta, batch)).sum())
    step = 1e-6  # a token's log-probability moves its own term alone
    up, down = (token_terms(batch.theta + s, batch) for s in (step, -step))
    return loss, -weights * (up - down) / (2 * step)


class Result(NamedTuple):
    """What the trainer computed, and the batch it computed it from."""

    loss: float
    gradient: np.ndarray
    advantages: np.ndarray
    batch: Batch


def move(model: torch.nn.Module, scale: float, seed: int) -> None:
    """Add noise to every weight, relative to the weight's own spread."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            spread = weight.std() if weight.numel() > 1 else weight.abs()
            weight += scale * spread * torch.randn(weight.shape, generator=generator)


def run_trainer(folder: Path, moved: bool, options: dict[str, Any]) -> Result:
    """Sample, score and compute the loss as a training step does."""
    words = {
        "model_name_or_path": ROOT / BASE_MODEL,
        "output_dir": folder,
        "per_device_train_batch_size": len(TEXTS),
        "use_vllm": "false",  # the engine itself; what it does to the loss is switched on below
        "report_to": "none",
        **options,
    }
    argv = ["--config", str(YAML), *(w for k, v in words.items() for w in (f"--{k}", str(v)))]
    args, training_args, model_args = parse((GRPOArguments, GRPOConfig, ModelConfig), argv)
    rows: Any = small_rows(len(COMPLETIONS))
    trainer: Any = make_trainer(args, training_args, model_args, rows, callbacks=[])
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    trainer.use_vllm = True
    move(trainer.model, 0.03, seed=1)  # the reference stays where SFT left it
    ids, is_cut = tokenize(trainer)
    inputs = [row for row in rows for _ in range(G)]
    # vLLM's part: the given completions, with log-probabilities near those of the trainer.
    if not NEAR:
        reported = [[0.0] * len(i) for i in ids]
        trainer._generate_single_turn = lambda *_, **__: (ids, reported)
        NEAR.append(trainer._generate_and_score_completions(inputs)["old_per_token_logps"])
    noise = np.random.default_rng(0).normal(0.0, 0.4, NEAR[0].shape)  # so that 2 is met
    sampler = NEAR[0].double().numpy() + noise
    reported = [list(map(float, sampler[i, : len(x)])) for i, x in enumerate(ids)]
    trainer._generate_single_turn = lambda *_, **__: (ids, reported)
    outputs = trainer._generate_and_score_completions(inputs)
    if moved:
        move(trainer.model, 0.2, seed=2)
    logps: list[torch.Tensor] = []
    stock = trainer._get_per_token_logps_and_entropies

    @functools.wraps(stock)
    def spy(*args: Any, **kwargs: Any) -> Any:
        result = stock(*args, **kwargs)
        logps.append(result[0])
        return result

    trainer._get_per_token_logps_and_entropies = spy
    loss = trainer.compute_loss(trainer.model, outputs)
    (theta,) = logps
    (gradient,) = torch.autograd.grad(loss, theta)

    mask = np.zeros(sampler.shape)
    for row, token_ids in enumerate(ids):
        cut_off = training_args.mask_truncated_completions and is_cut[row]
        mask[row, : len(token_ids)] = 0.0 if cut_off else 1.0
    old = outputs.get("old_per_token_logps", NEAR[0])
    columns = {name: [x[name] for x in inputs] for name in ("label", "question_bank")}
    functions: tuple[Any, ...] = (accuracy_reward, format_reward, hybrid_reward)
    parts = [reward(TEXTS, **columns) for reward in functions]
    batch = Batch(
        theta=theta.detach().double().numpy(),
        old=old.double().numpy(),
        ref=outputs["ref_per_token_logps"].double().numpy(),
        sampler=sampler,
        mask=mask,
        advantage=advantages_of(np.dot([0.8, 0.1, 0.1], np.array(parts, dtype=float))),
    )
    return Result(loss.item(), gradient.double().numpy(), outputs["advantages"].numpy(), batch)


def tokenize(trainer: Any) -> tuple[list[list[int]], list[bool]]:
    """Return the completions' tokens, ended by end-of-turn unless cut, and which are cut."""
    tokenizer = trainer.processing_class.tokenizer
    is_cut = [text == CUT for text in TEXTS]
    ends = [[] if cut else [tokenizer.eos_token_id] for cut in is_cut]
    return [tokenizer(t)["input_ids"] + end for t, end in zip(TEXTS, ends, strict=True)], is_cut


def agrees(result: Result, loss_type: str) -> bool:
    """Whether loss and gradient are Eq. 1's up to float32."""
    loss, gradient = expected(result.batch, loss_type)
    scale = np.abs(gradient).max()
    return abs(result.loss - loss) <= 1e-5 * max(abs(loss), scale) and bool(
        np.abs(result.gradient - gradient).max() <= 1e-4 * scale
    )


@pytest.mark.parametrize("moved", [False, True], ids=["on-policy", "off-policy"])
@pytest.mark.parametrize(
    ("loss_type", "options"),
    [
        pytest.param("dr_grpo", {}, id="as shipped"),
        pytest.param("grpo", {"loss_type": "grpo"}, id="grpo"),
        pytest.param("dr_grpo", {"mask_truncated_completions": True}, id="truncated masked"),
        pytest.param(
            "grpo",
            {"loss_type": "grpo", "mask_truncated_completions": True},
            id="grpo, truncated masked",
        ),
    ],
)
def test_loss_and_gradient_are_those_of_equation_1(tmp_path, loss_type, options, moved) -> None:
    result = run_trainer(tmp_path, moved, options)
    loss, gradient = expected(result.batch, loss_type)
    assert result.loss == pytest.approx(loss, rel=1e-5, abs=1e-7)
    np.testing.assert_allclose(
        result.gradient, gradient, rtol=1e-4, atol=1e-5 * np.abs(gradient).max()
    )
    np.testing.assert_allclose(result.advantages, result.batch.advantage, rtol=1e-3, atol=1e-5)
    assert agrees(result, loss_type)


def test_the_batch_has_every_case(tmp_path) -> None:
    """Else the comparison above would pass without looking."""
    batch = run_trainer(tmp_path, True, {}).batch
    inside = batch.mask > 0
    ratio = np.where(inside, np.exp(batch.theta - batch.old), 1.0)
    advantage = np.broadcast_to(batch.advantage[:, None], ratio.shape)
    too_high, too_low = ratio > 1 + EPSILON, ratio < 1 - EPSILON
    for case in (
        too_high & (advantage > 0),  # clipped
        too_low & (advantage < 0),  # clipped
        too_high & (advantage < 0),  # not clipped: the smaller of the two
        too_low & (advantage > 0),  # not clipped
        inside & ~too_high & ~too_low & (advantage > 0),
    ):
        assert case.sum() >= 3
    assert (np.exp(batch.old - batch.sampler)[inside] > MAX_RATIO).sum() >= 5
    assert np.abs(batch.ref - batch.theta)[inside].max() > 0.1
    groups = batch.advantage.reshape(-1, G)
    assert (groups[1] == 0.0).all()  # no variance: no advantage
    assert (np.abs(groups[[0, 2]]).max(axis=1) > 0.5).all()


@pytest.mark.parametrize(
    "options",
    [
        {"use_bias_correction_kl": True},
        {"beta": 2 * BETA},
        {"epsilon": 2 * EPSILON},
        {"loss_type": "grpo"},
        {"loss_type": "dapo"},
        {"scale_rewards": "none"},
        {"multi_objective_aggregation": "normalize_then_sum"},
        {"importance_sampling_level": "sequence"},
        {"vllm_importance_sampling_mode": "sequence_mask"},
        {"vllm_importance_sampling_correction": False},
        {"mask_truncated_completions": True},
        {"entropy_coef": 0.01},
    ],
    ids=lambda options: ", ".join(f"{k}={v}" for k, v in options.items()),
)
def test_a_setting_that_changes_the_equations_is_noticed(tmp_path, options) -> None:
    """Each of these makes TRL compute something else than the shipped settings do."""
    result = run_trainer(tmp_path, True, options)
    shipped = result.batch
    if "mask_truncated_completions" in options:
        shipped = shipped._replace(mask=(NEAR[0].numpy() != 0.0).astype(float))
    assert not agrees(result._replace(batch=shipped), "dr_grpo")
