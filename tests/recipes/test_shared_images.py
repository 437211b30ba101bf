"""Work on an image shared by the copies of its prompt: the same values, losses and gradients."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from transformers import AutoModelForImageTextToText

from recipes.demo import BASE_MODEL
from recipes.patch_embedding import use_linear_patch_embedding
from recipes.shared_images import decoded_once, processed_once, share_vision
from recipes.vlm import load_processor, vision_modules

ORDER = [0, 0, 1, 2, 1, 0]  # copies, not all side by side, as TRL shuffles them


@pytest.fixture
def processor():
    return load_processor(str(BASE_MODEL), 784, 112 * 112)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    sizes = [(112, 112), (112, 112), (56, 140)]
    distinct = [
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for width, height in sizes
    ]
    return [distinct[i] for i in ORDER]


def load_model():
    return AutoModelForImageTextToText.from_pretrained(str(BASE_MODEL), dtype=torch.float32)


def batch_of(processor, images):
    text = "<|vision_start|><|image_pad|><|vision_end|>real or fake?<|im_end|>"
    batch = processor(images=images, text=[text] * len(images), padding=True, return_tensors="pt")
    return {**batch, "labels": batch["input_ids"]}


def test_processed_once_gives_the_same_values_and_leaves_no_trace(processor, images):
    before = batch_of(processor, images)
    with processed_once(processor.image_processor):
        first = batch_of(processor, images)
        again = batch_of(processor, [image.copy() for image in images])
    for key, value in before.items():
        assert torch.equal(first[key], value), key
        assert torch.equal(again[key], value), key
    assert "preprocess" not in vars(processor.image_processor)


def test_processed_once_processes_each_image_once(processor, images, monkeypatch):
    kind = type(processor.image_processor)
    stock, seen = kind._preprocess, []
    monkeypatch.setattr(
        kind,
        "_preprocess",
        lambda self, images, **kw: seen.append(len(images)) or stock(self, images, **kw),
    )
    with processed_once(processor.image_processor):
        batch_of(processor, images)
        batch_of(processor, images)
    assert sum(seen) == 3


def test_shared_vision_has_the_loss_and_gradients_of_the_stock_model(processor, images):
    batch = batch_of(processor, images)
    losses, gradients, n_seen = [], [], []
    for share in (False, True):
        model = load_model()
        if share:
            share_vision(model)
        model.model.visual.patch_embed.register_forward_hook(
            lambda module, args, output: n_seen.append(len(output))
        )
        loss = model(**batch).loss
        loss.backward()
        losses.append(loss.item())
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert n_seen == [3 * 64 + 2 * 64 + 40, 64 + 64 + 40]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert any("visual" in name for name in gradients[0])
    for name, gradient in gradients[0].items():
        scale = gradient.abs().max().item() + 1e-8
        assert (gradients[1][name] - gradient).abs().max().item() < 1e-4 * scale, name


def test_distinct_images_of_one_size_are_told_apart(processor):
    flat = np.full((112, 112, 3), 100, dtype=np.uint8)
    other = flat.copy()
    other[0, 0] = 101  # equal in the middle, where the probe looks
    batch = batch_of(processor, [Image.fromarray(flat), Image.fromarray(other)])
    plain, shared = load_model(), load_model()
    share_vision(shared)
    with torch.no_grad():
        assert torch.equal(plain(**batch).logits, shared(**batch).logits)


def test_copies_are_decoded_once_and_to_the_same_object(processor, images):
    buffer = io.BytesIO()
    images[0].save(buffer, "PNG")
    rows = [{"images": [{"bytes": buffer.getvalue(), "path": None}]} for _ in range(3)]
    found = [row["images"][0] for row in decoded_once(rows, processor.image_processor)]
    assert found[0] is found[1] is found[2]
    assert found[0].tobytes() == images[0].tobytes()
    already = decoded_once([{"images": [images[1]]}], processor.image_processor)
    assert already[0]["images"][0] is images[1]


def test_patch_embedding_as_a_product_has_the_loss_and_gradients_of_the_convolution(
    processor, images
):
    batch = batch_of(processor, images)
    plain, product = load_model(), load_model()
    assert use_linear_patch_embedding(product) == 1
    losses = []
    for model in (plain, product):
        loss = model(**batch).loss
        loss.backward()
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    weights = [model.model.visual.patch_embed.proj.weight for model in (plain, product)]
    assert torch.allclose(weights[1].grad, weights[0].grad, rtol=1e-3, atol=1e-6)
    assert product.state_dict().keys() == plain.state_dict().keys()


def test_adapters_around_a_model_hide_no_vision_tower(processor, images):
    adapted: Any = get_peft_model(load_model(), LoraConfig(target_modules=["q_proj"]))
    tower = adapted.get_base_model().model.visual
    assert vision_modules(adapted) == [tower]
    share_vision(adapted)
    seen = []
    tower.patch_embed.register_forward_hook(lambda module, args, out: seen.append(len(out)))
    with torch.no_grad():
        adapted(**batch_of(processor, images))
    assert seen == [64 + 64 + 40]
    assert use_linear_patch_embedding(adapted) == 1
