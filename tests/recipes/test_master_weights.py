"""16-bit weights stand still at the paper's learning rate; training them is refused."""

from types import SimpleNamespace

import pytest
import torch

from recipes.master_weights import check_master_weights
from rewards.errors import UserError


@pytest.mark.parametrize(
    ("dtype", "moved"), [(torch.float32, 1.0), (torch.bfloat16, 0.05)], ids=["float32", "bfloat16"]
)
def test_how_many_weights_a_hundred_steps_move(dtype: torch.dtype, moved: float) -> None:
    torch.manual_seed(0)
    weight = torch.nn.Parameter((0.02 * torch.randn(4096)).to(dtype))  # a 7B model's spread
    before = weight.detach().clone()
    optimizer = torch.optim.AdamW([weight], lr=1e-6, weight_decay=0.0)
    for _ in range(100):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    share = (weight.detach() != before).float().mean().item()
    assert share >= moved if dtype == torch.float32 else share <= moved


def trainer(dtype: torch.dtype, trained: bool = True, **kinds: bool) -> SimpleNamespace:
    model = torch.nn.Linear(2, 2, dtype=dtype).requires_grad_(trained)
    kinds = {"is_deepspeed_enabled": False, "is_fsdp_enabled": False, **kinds}
    return SimpleNamespace(model=model, args=SimpleNamespace(learning_rate=1e-6), **kinds)


@pytest.mark.parametrize(
    "allowed",
    [
        pytest.param(trainer(torch.float32), id="float32"),
        pytest.param(trainer(torch.bfloat16, trained=False), id="frozen"),
        pytest.param(trainer(torch.bfloat16, is_deepspeed_enabled=True), id="DeepSpeed"),
        pytest.param(trainer(torch.bfloat16, is_fsdp_enabled=True), id="FSDP"),
    ],
)
def test_a_float32_copy_is_enough(allowed: SimpleNamespace) -> None:
    check_master_weights(allowed)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_16_bits_alone_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(UserError, match=r"learning rate 1e-06 are rounded away.*dtype: float32"):
        check_master_weights(trainer(dtype))
