"""The pixel limits of SFT reach GRPO and vLLM through the checkpoint."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from recipes.demo import BASE_MODEL
from recipes.vlm import load_processor

MODEL = str(Path(__file__).parents[2] / BASE_MODEL)
TOKEN_PX = 28  # one image token covers 28 x 28 pixels
IMAGE = Image.new("RGB", (448, 336))


def n_image_tokens(processor: Any) -> int:
    patches = processor.image_processor(images=[IMAGE], return_tensors="pt")["image_grid_thw"]
    return int(patches.prod()) // processor.image_processor.merge_size**2


@pytest.mark.parametrize(
    ("limits", "n_tokens"),
    [
        pytest.param({"max_pixels": 448 * 336}, 16 * 12, id="as large as it is"),
        pytest.param({"max_pixels": 8 * 6 * TOKEN_PX * TOKEN_PX}, 8 * 6, id="shrunk"),
        pytest.param(
            {"min_pixels": 4 * 448 * 336, "max_pixels": 10 * 448 * 336}, 32 * 24, id="enlarged"
        ),
    ],
)
def test_trainer_and_vllm_read_the_limits_saved_with_the_checkpoint(
    tmp_path: Path, limits: dict[str, Any], n_tokens: int
) -> None:
    from vllm.transformers_utils.processor import cached_get_processor

    load_processor(MODEL, **limits).save_pretrained(tmp_path)  # as SFTTrainer.save_model does
    shutil.copy(Path(MODEL) / "config.json", tmp_path)
    assert n_image_tokens(load_processor(str(tmp_path))) == n_tokens  # as GRPO loads it
    assert n_image_tokens(cached_get_processor(str(tmp_path))) == n_tokens  # as the engine does
    assert n_image_tokens(load_processor(MODEL)) != n_tokens  # what the base model would see
