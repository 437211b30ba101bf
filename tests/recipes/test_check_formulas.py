"""The arithmetic of a run: each formula against hand arithmetic or against what really runs."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler, SequentialSampler
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForImageTextToText
from trl import ModelConfig, get_peft_config
from trl.trainer.utils import RepeatSampler

from recipes.budget import flops, memory
from recipes.budget.batches import (
    GroupBatch,
    explain_batch,
    groups_are_whole,
    grpo_schedule,
    sft_schedule,
)
from recipes.budget.gpus import load_gpu
from recipes.budget.model_size import (
    KNOWN_MODELS,
    LanguageSize,
    ModelSize,
    VisionSize,
    known_model,
    load_model_config,
    measure_model,
)
from recipes.budget.paper import implied_utilisation
from recipes.budget.traffic import step_traffic
from recipes.demo import BASE_MODEL
from rewards.errors import UserError

DEMO = str(Path(__file__).parents[2] / BASE_MODEL)
QWEN_7B = "Qwen/Qwen2.5-VL-7B-Instruct"
# As their authors publish them: 8.29, 3.75, 8.77 and 7.94 billion.
PUBLISHED = {
    QWEN_7B: 8_292_166_656,
    "Qwen/Qwen2.5-VL-3B-Instruct": 3_754_622_976,
    "Qwen/Qwen3-VL-8B-Instruct": 8_767_123_696,
    "OpenGVLab/InternVL3-8B-hf": 7_944_373_760,
}
VISION = VisionSize(
    n_layers=3,
    hidden=10,
    intermediate=20,
    n_full_attention=1,
    window_patches=4,
    tile_patches=None,
    patches_per_token=4,
    weights_per_patch=1000,
    weights_per_token=50,
)
LANGUAGE = LanguageSize(
    n_layers=2,
    hidden=8,
    intermediate=16,
    n_heads=4,
    n_kv_heads=2,
    head_dim=2,
    vocabulary=100,
    max_positions=64,
    weights_per_token=500,
)
PARTS = {"vision": 100, "embedding": 20, "layers": 60, "head": 20}
SIZE = ModelSize("m", "hand", VISION, LANGUAGE, PARTS, PARTS, largest_layer=30)
LORA = replace(SIZE, n_trainable={"adapters": 10})


@pytest.mark.parametrize("name", PUBLISHED)
def test_known_models_have_their_published_number_of_parameters(name: str) -> None:
    known: Any = known_model(name)
    assert measure_model(name).total == known["n_parameters"] == PUBLISHED[name]


def test_there_are_no_other_known_models() -> None:
    assert len(list(KNOWN_MODELS.glob("*.json"))) == len(PUBLISHED)


def test_parts_are_counted_as_the_real_model_has_them() -> None:
    model: Any = AutoModelForImageTextToText.from_pretrained(DEMO)
    size = measure_model(DEMO)
    assert size.total == sum(p.numel() for p in model.parameters())
    assert size.n_parameters["vision"] == sum(p.numel() for p in model.model.visual.parameters())
    assert size.n_parameters["embedding"] == model.get_input_embeddings().weight.numel()
    assert size.n_parameters["head"] == 0  # tied to the embedding
    assert (
        measure_model(DEMO, train_vision=False).trainable
        == size.total - (size.n_parameters["vision"])
    )


def test_adapters_are_the_only_parameters_that_train_with_lora() -> None:
    settings = ModelConfig(use_peft=True, lora_r=8, lora_target_modules=["q_proj", "o_proj"])
    size = measure_model(QWEN_7B, peft_config=get_peft_config(settings))
    # Both are 3584 x 3584, in 28 layers: A is 8 x 3584, B is 3584 x 8.
    assert size.trainable == 2 * 28 * 2 * 8 * 3584
    assert size.total == PUBLISHED[QWEN_7B]


def test_unknown_hub_id_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(model: str) -> None:
        raise OSError("no connection")

    monkeypatch.setattr("recipes.budget.model_size.AutoConfig.from_pretrained", offline)
    with pytest.raises(UserError, match=r"config\.json into a folder"):
        load_model_config("someone/some-model")


@pytest.mark.parametrize("grid", [(8, 8), (4, 12)], ids=["square", "wide"])
def test_flops_are_those_that_torch_counts(grid: tuple[int, int]) -> None:
    model: Any = AutoModelForImageTextToText.from_pretrained(DEMO, attn_implementation="eager")
    size = measure_model(DEMO)
    n_patches = grid[0] * grid[1]
    image = model.config.image_token_id
    ids = torch.tensor([[1, *[image] * (n_patches // 4), *range(2, 40)]])
    inputs = {
        "input_ids": ids,
        "mm_token_type_ids": (ids == image).long(),
        "pixel_values": torch.randn(n_patches, 3 * 2 * 14 * 14),
        "image_grid_thw": torch.tensor([[1, *grid]]),
    }
    n_tokens = ids.shape[1]
    with FlopCounterMode(display=False) as forward:
        loss = model(**inputs).logits.sum()
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    ours = flops.forward_flops(size, n_patches, n_tokens, n_tokens, causal=False)
    assert sum(ours.values()) == pytest.approx(forward.get_total_flops(), rel=0.02)
    both = forward.get_total_flops() + backward.get_total_flops()
    trained = flops.training_flops(
        size, n_patches, n_tokens, n_tokens, checkpointing=False, causal=False
    )
    assert trained.model == pytest.approx(both, rel=0.05)


def test_vision_flops_by_hand() -> None:
    # 8 patches, 2 tokens: weights 2*8*1000 + 2*2*50 = 16200; attention 4*10*8*(1*8 + 2*4) = 5120.
    assert flops.vision_flops(VISION, 8) == 16_200 + 5_120
    # In tiles of 5 patches: attention 4*10*10*(1*5 + 2*4) = 5200.
    tiled = replace(VISION, tile_patches=5)
    assert flops.vision_flops(tiled, 10) == 2 * 10 * 1000 + 2 * 2.5 * 50 + 5_200


@pytest.mark.parametrize(("causal", "expected"), [(False, 10_000 + 6_400), (True, 10_000 + 3_200)])
def test_language_flops_by_hand(causal: bool, expected: int) -> None:
    # 10 tokens: weights 2*10*500; attention 4*(4*2)*10^2*2 = 6400, half of it where causal.
    assert flops.layers_flops(LANGUAGE, 10, causal) == expected
    assert flops.head_flops(LANGUAGE, 3) == 2 * 3 * 8 * 100


@pytest.mark.parametrize(
    ("size", "checkpointing", "n_vision", "n_layers", "n_head"),
    [
        pytest.param(SIZE, False, 3, 3, 4, id="whole"),
        pytest.param(SIZE, True, 4, 4, 4, id="whole, checkpointing"),
        pytest.param(replace(SIZE, n_trainable=PARTS | {"vision": 0}), True, 1, 4, 4, id="frozen"),
        pytest.param(LORA, True, 3, 3, 3, id="LoRA"),
    ],
)
def test_training_passes_by_hand(
    size: ModelSize, checkpointing: bool, n_vision: int, n_layers: int, n_head: int
) -> None:
    parts = flops.forward_flops(size, 8, 10, 3)
    expected = parts["vision"] * n_vision + parts["layers"] * n_layers + parts["head"] * n_head
    trained = flops.training_flops(size, 8, 10, 3, checkpointing=checkpointing)
    assert trained.hardware == expected
    assert trained.model < trained.hardware


def test_arrays_are_the_sum_of_their_rows() -> None:
    tokens = np.array([10, 20])
    together = flops.training_flops(SIZE, 8, tokens, 3, checkpointing=True).hardware
    alone = [flops.training_flops(SIZE, 8, t, 3, checkpointing=True).hardware for t in (10, 20)]
    assert together.tolist() == alone


def test_writing_by_hand() -> None:
    # A token caches 2 * 2 layers * 2 heads * 2 wide * 2 bytes.
    assert flops.kv_bytes_per_token(LANGUAGE) == 32
    # 5 tokens after 10: weights 2*5*(500 + 8*100); attention 4*8*2*(10*5 + 5*5/2).
    assert flops.decode_flops(SIZE, 10, 5) == 13_000 + 64 * 62.5
    # Each of 7 steps reads (60 + 20) weights of 2 bytes and 3 sequences of 12 tokens.
    assert flops.decode_seconds(SIZE, 7, 3, 12, bandwidth=100) == 7 * (160 + 3 * 12 * 32) / 100


def test_prefill_scores_one_token() -> None:
    parts = flops.forward_flops(SIZE, 8, 10, 1)
    assert flops.prefill_flops(SIZE, 8, 10) == sum(parts.values())


@pytest.mark.parametrize(
    ("size", "placement", "weights", "gradients", "optimizer"),
    [
        # 200 parameters, all trained.
        pytest.param(
            SIZE, memory.Placement("none", 1, 4, False), 800, 800, 1600, id="float32, one GPU"
        ),
        pytest.param(
            SIZE, memory.Placement("none", 1, 4, True), 800 + 400, 800, 1600, id="autocast"
        ),
        pytest.param(
            SIZE, memory.Placement("ddp", 4, 4, True), 800 + 400, 800 + 800, 1600, id="ddp"
        ),
        pytest.param(SIZE, memory.Placement("zero2", 4, 2, True), 400, 100, 600, id="zero2"),
        pytest.param(SIZE, memory.Placement("zero3", 4, 2, True), 100, 100, 600, id="zero3"),
        pytest.param(SIZE, memory.Placement("fsdp2", 4, 2, True), 200, 200, 400, id="fsdp2"),
        pytest.param(
            SIZE, memory.Placement("fsdp2", 4, 2, True, 2), 200, 200 + 400, 400, id="fsdp2, adds up"
        ),
        pytest.param(
            SIZE, memory.Placement("fsdp2", 4, 2, True, 2, True), 200, 200, 400, id="fsdp2, syncs"
        ),
        # 10 adapter weights beside 200 that are frozen.
        pytest.param(LORA, memory.Placement("none", 1, 2, True), 440, 40, 80, id="LoRA"),
        pytest.param(LORA, memory.Placement("ddp", 4, 2, True), 440, 80, 80, id="LoRA, ddp"),
    ],
)
def test_states_by_hand(
    size: ModelSize, placement: memory.Placement, weights: int, gradients: int, optimizer: int
) -> None:
    assert memory.state_bytes(size, placement) == {
        "weights": weights,
        "gradients": gradients,
        "optimizer": optimizer,
    }


def test_reference_and_gathered_layers_by_hand() -> None:
    alone, shared = memory.Placement("none", 1, 2, True), memory.Placement("fsdp2", 4, 2, True)
    assert memory.reference_bytes(SIZE, alone) == 400
    assert memory.reference_bytes(SIZE, shared) == 100
    assert memory.reference_bytes(LORA, alone) == 0  # the model with its adapters off
    assert memory.gathered_bytes(SIZE, alone) == 0
    # Two blocks of 30 with gradients, 2 bytes each; 800 of the head in 2 + 2 and 4 bytes.
    assert memory.gathered_bytes(SIZE, shared) == 8 * 30 + 4 * 800 + 4 * 800


def test_activations_by_hand() -> None:
    # A block keeps 2 * (8*8 + 2*8 + 3*4 + 4*16) = 312 bytes a token.
    args = {"residual_bytes": 2}
    assert memory.language_activation_bytes(LANGUAGE, 10, checkpointing=False, **args) == 6240
    # One block and two residuals of 8 values.
    assert memory.language_activation_bytes(LANGUAGE, 10, checkpointing=True, **args) == 3120 + 320
    # A vision block keeps 2 * (16*10 + 4*20) = 480 bytes a patch.
    assert memory.vision_activation_bytes(VISION, 8, checkpointing=False, **args) == 3 * 8 * 480
    assert memory.head_bytes(LANGUAGE, 3) == 2 * 4 * 3 * 100


@pytest.mark.parametrize("part", ["language", "vision"])
def test_activation_estimate_is_near_what_torch_keeps(part: str) -> None:
    """An estimate, and said to be one: within a quarter of the tensors kept for the backward."""
    model: Any = AutoModelForImageTextToText.from_pretrained(
        DEMO, attn_implementation="sdpa", dtype=torch.bfloat16
    )
    size = measure_model(DEMO)
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        if part == "language":
            embedded = torch.randn(1, 300, size.language.hidden, dtype=torch.bfloat16)
            result = model.model.language_model(inputs_embeds=embedded)
            estimate = memory.language_activation_bytes(
                size.language, 300, checkpointing=False, residual_bytes=2
            )
        else:
            patches = torch.randn(256, 3 * 2 * 14 * 14, dtype=torch.bfloat16)
            result = model.model.visual(patches, grid_thw=torch.tensor([[1, 16, 16]]))
            estimate = memory.vision_activation_bytes(
                size.vision, 256, checkpointing=False, residual_bytes=2
            )
    measured = sum(storage.nbytes() for key, storage in kept.items() if key not in weights)
    assert result is not None  # keeps the graph
    assert estimate == pytest.approx(measured, rel=0.25)


@pytest.mark.parametrize(
    ("sharding", "weight_bytes", "expected"),
    [
        pytest.param("none", 2, False, id="bfloat16 alone"),
        pytest.param("ddp", 2, False, id="bfloat16 copies"),
        pytest.param("ddp", 4, True, id="float32 copies"),
        pytest.param("fsdp2", 2, True, id="fsdp2 makes its copy"),
        pytest.param("zero2", 2, True, id="DeepSpeed keeps one"),
    ],
)
def test_who_keeps_float32_weights(sharding: str, weight_bytes: int, expected: bool) -> None:
    assert memory.Placement(sharding, 8, weight_bytes, True).keeps_float32 is expected


def test_bfloat16_weights_do_not_feel_the_papers_learning_rate() -> None:
    weight = torch.full((), 0.02)
    assert weight.bfloat16() - 1e-6 == weight.bfloat16()
    assert weight - 1e-6 != weight


def test_vllm_share_by_hand() -> None:
    room = memory.vllm_bytes(SIZE, 10 * 2**30, 0.5, max_length=2**20, tensor_parallel=2)
    assert (room.share, room.weights) == (5 * 2**30, 200)
    assert room.cache == 4 * 2**30 - 200
    assert room.n_sequences == pytest.approx(room.cache / (2**20 * 32 / 2))


@pytest.mark.parametrize(
    ("sharding", "sync", "weights", "gradients"),
    [
        # 100 parameters on 4 GPUs (r = 3/4), 3 micro batches, 2 bytes.
        pytest.param("none", False, 0, 0, id="none"),
        pytest.param("ddp", False, 0, 300, id="ddp"),
        pytest.param("zero2", False, 150, 450, id="zero2"),
        pytest.param("zero3", False, 900, 450, id="zero3"),
        pytest.param("fsdp2", False, 900, 150, id="fsdp2"),
        pytest.param("fsdp2", True, 900, 450, id="fsdp2, syncs"),
    ],
)
def test_traffic_by_hand(sharding: str, sync: bool, weights: int, gradients: int) -> None:
    sent = step_traffic(sharding, 100, 100, 4, 3, sync_each_batch=sync)
    assert (sent.weights, sent.gradients) == (weights, gradients)


@pytest.mark.parametrize(
    ("n_rows", "per_device", "accumulation", "n_processes"),
    [(1340, 16, 1, 1), (100, 1, 2, 32), (1000, 3, 4, 8), (5, 2, 2, 8)],
)
def test_sft_steps_are_those_of_accelerates_batches(
    n_rows: int, per_device: int, accumulation: int, n_processes: int
) -> None:
    batches = BatchSampler(SequentialSampler(range(n_rows)), per_device, drop_last=False)
    mine = list(BatchSamplerShard(batches, num_processes=n_processes, process_index=0))
    schedule = sft_schedule(n_rows, per_device, accumulation, n_processes, epochs=2)
    assert schedule.steps_per_epoch == math.ceil(len(mine) / accumulation)
    assert schedule.steps == 2 * schedule.steps_per_epoch
    assert schedule.rows_repeated == len(mine) * per_device * n_processes - n_rows


@pytest.mark.parametrize(
    ("n_rows", "batch"),
    [
        pytest.param(705, GroupBatch(8, 64, 1, 1, 1, 1), id="demo"),
        pytest.param(100, GroupBatch(4, 2, 4, 4, 1, 2), id="accumulation"),
        pytest.param(100, GroupBatch(4, 2, 2, 4, 2, 2), id="used twice"),
    ],
)
def test_grpo_steps_are_those_of_trls_sampler(n_rows: int, batch: GroupBatch) -> None:
    prompts = batch.generation_batch // batch.num_generations
    sampler = RepeatSampler(
        range(n_rows),
        mini_repeat_count=batch.num_generations,
        batch_size=prompts,
        repeat_count=batch.num_iterations * batch.steps_per_generation,
    )
    order = list(sampler)
    # The loader's batches are generation batches, given out micro batch by micro batch.
    micro_batches = len(order) // batch.generation_batch
    schedule = grpo_schedule(n_rows, batch, epochs=1)
    assert schedule.steps_per_epoch == math.ceil(micro_batches / batch.accumulation)
    assert schedule.rows_unused == n_rows - len(set(order))


def test_the_papers_rl_run_by_hand() -> None:
    batch = GroupBatch(8, 8, 1, 1, 1, 32)
    schedule = grpo_schedule(15_712, batch, epochs=3)
    assert (schedule.rows_per_step, schedule.steps_per_epoch, schedule.steps) == (32, 491, 1473)
    assert schedule.rows_unused == 0
    assert schedule.completions == 1473 * 256
    assert groups_are_whole(batch)
    assert not groups_are_whole(GroupBatch(8, 2, 2, 2, 1, 32))


def test_batch_that_does_not_divide_is_explained() -> None:
    batch = GroupBatch(8, 2, 1, 1, 1, 2)
    (reason,) = explain_batch(batch, 100)
    assert "2 processes x per_device_train_batch_size 2 x steps_per_generation 1 = 4" in reason
    assert "gradient_accumulation_steps 2" in reason
    assert "per_device_train_batch_size 4" in reason
    assert "processes 4" in reason
    assert "num_generations 2 or 4" in reason
    for better in (
        replace(batch, accumulation=2, steps_per_generation=2),
        replace(batch, per_device=4),
        replace(batch, n_processes=4),
        replace(batch, num_generations=4),
    ):
        assert explain_batch(better, 100) == []


@pytest.mark.parametrize(
    ("batch", "n_rows", "message"),
    [
        pytest.param(GroupBatch(1, 8, 1, 1, 1, 1), 9, "no spread", id="group of one"),
        pytest.param(GroupBatch(2, 8, 1, 1, 1, 4), 9, "16 prompts", id="too few rows"),
    ],
)
def test_other_batches_that_cannot_run(batch: GroupBatch, n_rows: int, message: str) -> None:
    assert message in explain_batch(batch, n_rows)[0]


def test_gpus_are_those_of_the_data_sheets() -> None:
    assert load_gpu("a100-80").flops == 312e12
    assert load_gpu("h200").memory > load_gpu("h100").memory > load_gpu("a100-40").memory
    with pytest.raises(UserError, match="not in gpus"):
        load_gpu("tpu")


def test_the_papers_hours_imply_a_utilisation() -> None:
    paper = implied_utilisation()
    available = 20 * 3600 * 32 * 312e12
    sft, rl = paper["sft"], paper["rl"]
    assert sft["hardware_utilisation"] == pytest.approx(sft["hardware_flops"] / available)
    assert rl["hardware_utilisation"] == pytest.approx(rl["hardware_flops"] / available / 2)
    assert (rl["steps_at_32_prompts"], sft["steps_at_1_a_gpu"]) == (1473, 60_256)
    # 8 B weights, some 500 tokens a row, 6 operations a weight and token: about 4.6e19.
    assert sft["model_flops"] == pytest.approx(1.928e6 * 500 * 6 * 8e9, rel=0.3)
