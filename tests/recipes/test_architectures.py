"""Tiny random models of the other configurations' architectures, and adapters, through SFT."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import AddedToken
from transformers import (
    AutoModelForImageTextToText,
    GotOcr2ImageProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)
from trl import SFTConfig, chat_template_utils

from data_prep.prompts import load_prompts
from recipes import sft
from recipes.budget.model_size import measure_model
from recipes.budget.tokens import ImageRule
from recipes.chat_template import render_prompt
from recipes.demo import BASE_MODEL
from recipes.image_tokens import vision_token_ban
from recipes.tiny_vlm import train_tokenizer
from recipes.vlm import load_processor, vision_modules
from rewards.errors import UserError
from tests.recipes.conftest import small_rows

DEMO = str(Path(__file__).parents[2] / BASE_MODEL)
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 4096,
}
INTERNVL_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<IMG_CONTEXT>\n{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer(*more: str) -> PreTrainedTokenizerFast:
    prompts = load_prompts()
    trained = train_tokenizer([prompts.system, *prompts.simple, *prompts.hard])
    marks: Any = [AddedToken(token, special=True) for token in more]
    trained.add_special_tokens({"additional_special_tokens": marks})
    return trained


def save_qwen3_vl(folder: Path) -> None:
    words: Any = tokenizer()
    template = Path(chat_template_utils.__file__).parent / "chat_templates" / "qwen3_vl.jinja"
    pixels: Any = {"min_pixels": 1024, "max_pixels": 64 * 64, "patch_size": 16}
    Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(**pixels),
        video_processor=Qwen3VLVideoProcessor(),
        tokenizer=words,
        chat_template=template.read_text(encoding="utf-8"),
    ).save_pretrained(folder)
    ids = {token: words.convert_tokens_to_ids(token) for token in words.all_special_tokens}
    config = Qwen3VLConfig(
        text_config={
            **TEXT,
            "vocab_size": len(words),
            "rope_parameters": {"rope_type": "default", "mrope_section": [4, 2, 2]},
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        image_token_id=ids.get("<|image_pad|>", words.convert_tokens_to_ids("<|image_pad|>")),
        video_token_id=words.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=words.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=words.convert_tokens_to_ids("<|vision_end|>"),
    )
    Qwen3VLForConditionalGeneration(config).save_pretrained(folder)


def save_internvl(folder: Path) -> None:
    marks = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer(*marks.values()).save_pretrained(folder)
    words: Any = PreTrainedTokenizerFast.from_pretrained(folder, extra_special_tokens=marks)
    InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(
            size={"height": 28, "width": 28}, crop_to_patches=True, min_patches=1, max_patches=4
        ),
        video_processor=InternVLVideoProcessor(),
        tokenizer=words,
        image_seq_length=4,
        chat_template=INTERNVL_TEMPLATE,
    ).save_pretrained(folder)
    config = InternVLConfig(
        text_config={**TEXT, "model_type": "qwen2", "vocab_size": len(words)},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": [28, 28],
            "patch_size": [7, 7],
        },
        image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        downsample_ratio=0.5,
        tie_word_embeddings=False,
    )
    InternVLForConditionalGeneration(config).save_pretrained(folder)


SAVE = {"qwen3_vl": save_qwen3_vl, "internvl": save_internvl}


@pytest.fixture(scope="module", params=SAVE)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    SAVE[request.param](folder)
    return str(folder)


def limits_of(model: str) -> dict[str, Any]:
    return {"max_tiles": 2} if "internvl" in model else {"max_pixels": 96 * 96}


@pytest.mark.parametrize("size", [(56, 56), (90, 40), (40, 200), (300, 310)], ids=str)
def test_image_tokens_are_those_that_the_processor_writes(
    model: str, size: tuple[int, int]
) -> None:
    processor: Any = load_processor(model, **limits_of(model))
    prompt = load_prompts().messages("Is this image real or fake?")
    text = render_prompt(processor, prompt, generate=True)
    whole = processor(images=[Image.new("RGB", size)], text=[text], return_tensors="pt")
    n_text = len(processor.tokenizer(text, add_special_tokens=False)["input_ids"]) - 1
    rule = ImageRule(processor.image_processor, measure_model(model).vision)
    _, tokens = rule.count(np.array([size[0]]), np.array([size[1]]))
    assert n_text + tokens[0] == whole["input_ids"].shape[1]


def test_limit_of_the_other_kind_is_refused(model: str) -> None:
    wrong: dict[str, Any] = {"max_pixels": 9999} if "internvl" in model else {"max_tiles": 2}
    with pytest.raises(UserError, match=r"max_tiles|max_pixels"):
        load_processor(model, **wrong)


def test_parts_are_those_of_the_model(model: str) -> None:
    real: Any = AutoModelForImageTextToText.from_pretrained(model)
    size = measure_model(model)
    assert size.total == sum(p.numel() for p in real.parameters())
    seen = sum(p.numel() for module in vision_modules(real) for p in module.parameters())
    assert size.n_parameters["vision"] == seen > 0


def test_image_tokens_are_never_sampled(model: str) -> None:
    processor: Any = load_processor(model)
    mark = "<IMG_CONTEXT>" if "internvl" in model else "<|image_pad|>"
    assert processor.tokenizer.convert_tokens_to_ids(mark) in vision_token_ban(processor.tokenizer)


def run_sft(monkeypatch: pytest.MonkeyPatch, model: str, output: Path, **options: Any) -> None:
    monkeypatch.setattr(sft, "load_rows", lambda *args: small_rows(8))
    settings = {
        "model_name_or_path": model,
        "dataset_name": "rows",
        "output_dir": str(output),
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "learning_rate": 1e-2,
        "max_length": "null",
        "use_cpu": "true",
        "bf16": "false",
        "report_to": "none",
        "save_strategy": "'no'",
        "gradient_checkpointing": "false",
        "attn_implementation": "auto",
        **options,
    }
    config = output.parent / f"{output.name}.yaml"
    config.write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
    monkeypatch.setattr("sys.argv", ["sft", "--config", str(config)])
    sft.main()


def test_sft_trains_it_and_saves_the_image_limits(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sft(monkeypatch, model, tmp_path / "sft", **limits_of(model))
    before: Any = AutoModelForImageTextToText.from_pretrained(model)
    after: Any = AutoModelForImageTextToText.from_pretrained(tmp_path / "sft")
    for name in ("vision", "text"):
        parts = [
            vision_modules(m)[0] if name == "vision" else m.model.language_model
            for m in (before, after)
        ]
        pairs = zip(*(part.parameters() for part in parts), strict=True)
        assert any(not torch.equal(old, new) for old, new in pairs), name
    saved: Any = load_processor(str(tmp_path / "sft"))
    given: Any = load_processor(model, **limits_of(model))
    for key in ("size", "max_patches"):
        assert getattr(saved.image_processor, key, None) == getattr(
            given.image_processor, key, None
        )
    run = json.loads((tmp_path / "sft" / "run.json").read_text())
    assert run["config"]["attn_implementation"] == "sdpa"  # what auto stood for


def test_adapters_are_merged_for_the_next_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sft(
        monkeypatch,
        DEMO,
        tmp_path / "lora",
        use_peft="true",
        lora_r=4,
        dtype="bfloat16",
        lora_target_modules="[q_proj, v_proj]",
    )
    assert (tmp_path / "lora" / "adapter" / "adapter_config.json").is_file()
    assert not (tmp_path / "lora" / "adapter_config.json").exists()
    before: Any = AutoModelForImageTextToText.from_pretrained(DEMO)
    after: Any = AutoModelForImageTextToText.from_pretrained(tmp_path / "lora")
    old, new = before.to(torch.bfloat16).state_dict(), after.state_dict()
    assert old.keys() == new.keys()
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed
    assert all(name.endswith(("q_proj.weight", "v_proj.weight")) for name in changed)
    load_processor(str(tmp_path / "lora"))  # stands beside it


def test_adapters_in_sharded_weights_are_saved_and_said(tmp_path: Path) -> None:
    from recipes.adapters import save_whole_model

    class Sharded:
        args = SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
        is_fsdp_enabled, is_deepspeed_enabled = True, False
        model = accelerator = None
        saved: list[str]

        def save_model(self, folder: str) -> None:
            self.saved.append(folder)

    trainer: Any = Sharded()
    trainer.saved = []
    trainer.accelerator = type("A", (), {"unwrap_model": lambda self, m: m})()
    trainer.model = type("Adapted", (), {"merge_and_unload": None})()
    with pytest.raises(UserError, match="multi_gpu or single_gpu"):
        save_whole_model(trainer)
    assert trainer.saved == [str(tmp_path / "adapter")]
