"""Processor, pixel limits, fingerprint, and the text that vLLM gets."""

import json
from pathlib import Path

import pytest
from PIL import Image
from trl.data_utils import prepare_multimodal_messages

from data_prep.prompts import load_prompts
from recipes.demo import BASE_MODEL
from recipes.generation import Generator, Request
from recipes.vlm import check_model, load_processor, model_fingerprint
from rewards.errors import UserError

MODEL = str(Path(__file__).parents[2] / BASE_MODEL)
IMAGE = Image.new("RGB", (112, 112))


def n_image_tokens(processor) -> int:
    return int(processor.image_processor([IMAGE], return_tensors="pt").image_grid_thw.prod()) // 4


def test_pixel_limits_travel_with_the_checkpoint(tmp_path: Path) -> None:
    assert n_image_tokens(load_processor(MODEL)) == 16
    load_processor(MODEL, max_pixels=56 * 56).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((Path(MODEL) / "config.json").read_text())
    assert n_image_tokens(load_processor(str(tmp_path))) == 4


def test_vllm_gets_the_text_that_the_trainer_gets() -> None:
    prompt = load_prompts().messages("Is this image real or fake?")
    generator = Generator.__new__(Generator)
    generator.processor = load_processor(MODEL)
    text = generator._render(Request(prompt, IMAGE, 0))
    assert text.count("<|image_pad|>") == 1
    turns = prepare_multimodal_messages(prompt, images=[IMAGE])
    trainers = generator.processor.apply_chat_template(
        turns, add_generation_prompt=True, tokenize=False
    )
    assert text == trainers


@pytest.mark.parametrize("model", ["runs/nowhere", "./nowhere", "/nowhere", "recipes/nowhere"])
def test_missing_model_folder_is_a_user_error(model: str) -> None:
    with pytest.raises(UserError, match="holds no model"):
        check_model(model)


def test_hub_id_is_left_to_the_hub() -> None:
    check_model("Qwen/Qwen2.5-VL-7B-Instruct")


def test_fingerprint_follows_the_weights(model_folder: Path) -> None:
    weights = model_folder / "model.safetensors"
    weights.write_bytes(bytes(4_000_000))
    first = model_fingerprint(str(model_folder))
    assert model_fingerprint(str(model_folder)) == first
    weights.write_bytes(bytes(3_900_000) + b"\x01" * 100_000)
    second = model_fingerprint(str(model_folder))
    (model_folder / "config.json").write_text(json.dumps({"changed": True}))
    assert len({first, second, model_fingerprint(str(model_folder))}) == 3
    assert model_fingerprint("a/b") != model_fingerprint("a/c")
