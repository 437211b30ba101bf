"""A small Qwen2.5-VL from nothing: same architecture, processor and chat template as the 7B model.

Its tokenizer is trained on the repository's own text, with Qwen's special tokens; its patch
embedding starts as a whitened cosine basis, so that it sees fine grain from the first step.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
)
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from trl import chat_template_utils

VOCAB_SIZE = 1024
PATCH_PX = 14
HIDDEN = 192
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# Words with the space before them, digits one by one, punctuation with the line breaks after it: so
# "<think>" + line break and "<think></think>" part at their third token, as in Qwen's tokenizer.
SPLIT_PATTERN = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on ``texts`` with Qwen2.5-VL's special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=1,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )


def make_processor(texts: list[str], image_px: int) -> Qwen2_5_VLProcessor:
    """Return Qwen2.5-VL's processor around a tokenizer trained on ``texts``."""
    template = Path(chat_template_utils.__file__).parent / "chat_templates" / "qwen2_5_vl.jinja"
    pixels: dict[str, Any] = {"min_pixels": 28 * 28, "max_pixels": image_px * image_px}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**pixels),
        video_processor=Qwen2VLVideoProcessor(**pixels),
        tokenizer=train_tokenizer(texts),
        chat_template=template.read_text(encoding="utf-8"),
    )


def make_model(processor: Qwen2_5_VLProcessor, seed: int) -> Qwen2_5_VLForConditionalGeneration:
    """Return a randomly initialised model of about 3 million parameters, float32."""
    torch.manual_seed(seed)
    ids = {t: processor.tokenizer.convert_tokens_to_ids(t) for t in SPECIAL_TOKENS}
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": HIDDEN,
            "intermediate_size": 512,
            "num_heads": 4,
            "out_hidden_size": HIDDEN,
            "patch_size": PATCH_PX,
            "window_size": 112,
            "fullatt_block_indexes": [0, 1],
        },
        text_config={
            "vocab_size": len(processor.tokenizer),
            "hidden_size": HIDDEN,
            "intermediate_size": 512,
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [8, 12, 12],
            },
            "tie_word_embeddings": True,
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = [ids["<|im_end|>"], ids["<|endoftext|>"]]
    model.generation_config.pad_token_id = ids["<|endoftext|>"]
    return model


def whiten_patch_embedding(
    model: Qwen2_5_VLForConditionalGeneration, pixel_values: torch.Tensor
) -> None:
    """Set the patch embedding to a 2-D cosine basis, each row scaled to unit spread.

    Photographs have little energy at high frequencies, where generators leave their traces; a
    random projection drowns it.

    Args:
        model: Changed in place.
        pixel_values: Patches as the processor makes them, shape (n, 3 * 2 * 14 * 14).
    """
    k = np.arange(PATCH_PX)
    basis = np.cos(np.pi * (k[None] + 0.5) * k[:, None] / PATCH_PX) * np.sqrt(2 / PATCH_PX)
    basis[0] /= np.sqrt(2)
    by_frequency = sorted((u + v, u, v) for u in range(PATCH_PX) for v in range(PATCH_PX))
    n_luma = round(0.84 * HIDDEN)
    picks = np.linspace(0, len(by_frequency) - 1, n_luma).round().astype(int)
    rows = [(0, *by_frequency[i][1:]) for i in picks]
    rows += [(1 + i % 2, *by_frequency[i // 2][1:]) for i in range(HIDDEN - n_luma)]
    channels = np.array([[0.299, 0.587, 0.114], [0.6, -0.5, -0.1], [-0.17, -0.33, 0.5]])
    filters = np.stack(
        [channels[c][:, None, None] * np.outer(basis[u], basis[v])[None] for c, u, v in rows]
    )
    patches = pixel_values.reshape(-1, 3, 2, PATCH_PX, PATCH_PX)[:, :, 0].numpy()
    response = patches.reshape(len(patches), -1) @ filters.reshape(HIDDEN, -1).T
    filters /= response.std(axis=0)[:, None, None, None] + 1e-6
    weight = torch.tensor(filters, dtype=torch.float32)[:, :, None].expand(-1, -1, 2, -1, -1) / 2
    model.model.visual.patch_embed.proj.weight.data.copy_(weight)
