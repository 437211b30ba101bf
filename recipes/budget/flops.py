"""Floating-point operations of forward, backward and generation.

A multiply and an add are two operations, as in data sheets and in ``torch.utils.flop_counter``.
Only matrix products count (norms, activations and softmax are some per cent more). All functions
take numbers or arrays of them.
"""

from dataclasses import dataclass
from typing import Any

from recipes.budget.model_size import LanguageSize, ModelSize, VisionSize

Numbers = Any  # a number or a NumPy array of them


def vision_flops(size: VisionSize, n_patches: Numbers) -> Numbers:
    """Return the operations of one forward of the vision tower over an image.

    2 n w_patch + 2 (n / m) w_token for the weights, with n patches, m patches a token, and w
    weights that each passes; 4 h n s a block for attention, in which a patch meets the s patches of
    its sequence: all n, a window, or a tile. Windows at the border count as whole ones.
    """
    weights = 2 * n_patches * size.weights_per_patch
    weights = weights + 2 * (n_patches / size.patches_per_token) * size.weights_per_token
    everything = n_patches if size.tile_patches is None else size.tile_patches
    n_windowed = size.n_layers - size.n_full_attention
    met = size.n_full_attention * everything + n_windowed * size.window_patches
    return weights + 4 * size.hidden * n_patches * met


def layers_flops(size: LanguageSize, n_tokens: Numbers, causal: bool = True) -> Numbers:
    """Return the operations of one forward of the language model's blocks over a sequence.

    2 t w for the weights; 4 h_q t^2 a block for attention, h_q being the width of all query heads;
    half of that where the kernel leaves out what is masked (``causal``).
    """
    attention = 4 * size.n_heads * size.head_dim * n_tokens * n_tokens * size.n_layers
    return 2 * n_tokens * size.weights_per_token + attention * (0.5 if causal else 1.0)


def head_flops(size: LanguageSize, n_scored: Numbers) -> Numbers:
    """Return the operations of the head over the tokens that are scored: 2 s hidden vocabulary."""
    return 2 * n_scored * size.hidden * size.vocabulary


@dataclass(frozen=True)
class TrainingFlops:
    """Operations of training on a sequence.

    Attributes:
        model: What the method needs: forward and backward ("model FLOPs", the M of MFU).
        hardware: What is executed: with the forwards that checkpointing repeats.
    """

    model: Numbers
    hardware: Numbers


def training_flops(
    size: ModelSize,
    n_patches: Numbers,
    n_tokens: Numbers,
    n_scored: Numbers,
    *,
    checkpointing: bool,
    causal: bool = True,
) -> TrainingFlops:
    """Return the operations of forward and backward over a sequence with an image.

    A part costs its forward F once; again F for the gradient of its input, where anything before it
    trains, and F for the gradient of its weights, where it trains itself; with checkpointing again
    F, where a backward passes it. The head is computed twice in any case: TRL's fused head keeps no
    logits. LoRA's own products are left out (0.1 to 3 % of the layers).
    """
    forward = forward_flops(size, n_patches, n_tokens, n_scored, causal=causal)
    adapters = size.n_trainable.get("adapters", 0) > 0
    vision_trains = adapters or size.n_trainable.get("vision", 0) > 0
    n_passes = {
        # Pixels have no gradient, so the tower's first input needs none; the others are counted.
        "vision": 1 + (1 + (not adapters)) * vision_trains,
        "layers": 2 + (not adapters),
        "head": 2 + (not adapters),
    }
    model = sum(forward[part] * n for part, n in n_passes.items())
    again = forward["head"]
    if checkpointing:
        again = again + forward["layers"] + forward["vision"] * vision_trains
    return TrainingFlops(model=model, hardware=model + again)


def forward_flops(
    size: ModelSize, n_patches: Numbers, n_tokens: Numbers, n_scored: Numbers, causal: bool = True
) -> dict[str, Numbers]:
    """Return the operations of one forward, by part."""
    return {
        "vision": vision_flops(size.vision, n_patches),
        "layers": layers_flops(size.language, n_tokens, causal),
        "head": head_flops(size.language, n_scored),
    }


def prefill_flops(size: ModelSize, n_patches: Numbers, n_tokens: Numbers) -> Numbers:
    """Return the operations of reading a prompt once: a forward that scores its last token."""
    return sum(forward_flops(size, n_patches, n_tokens, 1).values())


def decode_flops(size: ModelSize, n_prompt: Numbers, n_completion: Numbers) -> Numbers:
    """Return the operations of writing a completion token by token with a KV cache.

    2 c (w + hidden vocabulary) for the weights; the attention of token i meets n + i keys, in sum
    4 h_q L (n c + c^2 / 2).
    """
    language = size.language
    weights = language.weights_per_token + language.hidden * language.vocabulary
    met = n_prompt * n_completion + n_completion * n_completion / 2
    attention = 4 * language.n_heads * language.head_dim * language.n_layers * met
    return 2 * n_completion * weights + attention


def kv_bytes_per_token(size: LanguageSize, bytes_per_value: int = 2) -> int:
    """Return the KV cache of a token: keys and values, 2 L heads_kv width bytes."""
    return 2 * size.n_layers * size.n_kv_heads * size.head_dim * bytes_per_value


def decode_seconds(
    size: ModelSize, n_steps: float, n_sequences: float, mean_length: float, bandwidth: float
) -> float:
    """Return the seconds that writing takes when the memory is the limit, as it is in practice.

    Each step reads the language model's weights in bfloat16 once, and the KV cache of every
    sequence that is written at the time.

    Args:
        size: The model.
        n_steps: Tokens written one after another.
        n_sequences: Sequences written at a time.
        mean_length: Their mean length in tokens while they are written.
        bandwidth: Bytes a second that are really reached.
    """
    parts = size.n_parameters
    weights = 2 * (parts["layers"] + max(parts["head"], parts["embedding"]))
    cache = n_sequences * mean_length * kv_bytes_per_token(size.language)
    return n_steps * (weights + cache) / bandwidth
