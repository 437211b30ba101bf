"""What a GPU holds while it trains, in bytes, item by item.

States (weights, gradients, optimizer, reference) are exact but for padding. Activations, gathered
layers and buffers are estimates; their formulas stand at each function.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from recipes.budget.flops import kv_bytes_per_token
from recipes.budget.model_size import LanguageSize, ModelSize, VisionSize

FUSED_HEAD_TILE = (4096, 32_768)  # TRL 1.16.0's fused head: tokens and words scored at a time
RUNTIME = 2 * 2**30  # CUDA context, NCCL buffers, cuBLAS workspace: what nvidia-smi shows of an
# otherwise empty process is 0.5 to 2 GiB


@dataclass(frozen=True)
class Placement:
    """How a model stands on the GPUs.

    Attributes:
        sharding: none, ddp, zero2, zero3 or fsdp2.
        n_processes: GPUs.
        weight_bytes: Of a weight as the checkpoint is read: 4 (float32) or 2 (bfloat16).
        autocast: Whether float32 weights are computed with in bfloat16.
        accumulation: Micro batches a step.
        sync_each_batch: accelerate's setting of that name.
    """

    sharding: str
    n_processes: int
    weight_bytes: int
    autocast: bool
    accumulation: int = 1
    sync_each_batch: bool = False

    @property
    def keeps_float32(self) -> bool:
        """Return whether trained weights have a float32 copy, which an update of 1e-6 needs.

        bfloat16 has 8 bits of mantissa: a weight w moves only by steps of w / 256, and AdamW's
        update of about the learning rate is rounded away. fsdp2 makes a float32 copy of what
        trains (accelerate 1.15), DeepSpeed keeps one in its optimizer; else the weights have to be
        float32 themselves.
        """
        return self.weight_bytes == 4 or self.sharding in ("zero2", "zero3", "fsdp2")


def state_bytes(size: ModelSize, placement: Placement) -> dict[str, float]:
    """Return weights, gradients and optimizer states that a GPU holds.

    With P parameters, T trainable ones, n GPUs, and w bytes a weight:

    ==========  ==========================  =========================  ======================
    sharding    weights                     gradients                  AdamW
    ==========  ==========================  =========================  ======================
    none, ddp   w P (+ 2 T for autocast's   w T (ddp + w T buckets)    2 w T
                bfloat16 copies)
    zero2       2 P                         2 T / n + 2 buckets        12 T / n (copy, m, v)
    zero3       2 P / n                     2 T / n                    12 T / n
    fsdp2       (4 T + w (P - T)) / n       4 T / n, and 2 T whole     8 T / n
                                            while micro batches add up
    ==========  ==========================  =========================  ======================

    Adapters (LoRA) are float32 in any case and come on top of P: 4, 4 and 8 bytes each.
    """
    adapters = size.n_trainable.get("adapters", 0)
    trained, total, n = size.trainable - adapters, size.total, placement.n_processes
    w, sharding = placement.weight_bytes, placement.sharding
    if sharding in ("none", "ddp"):
        buckets = w * trained + 4 * adapters if sharding == "ddp" else 0
        copies = 2 * trained if placement.autocast and w == 4 else 0
        return {
            "weights": w * total + copies + 4 * adapters,
            "gradients": w * trained + buckets + 4 * adapters,
            "optimizer": 2 * w * trained + 8 * adapters,
        }
    if sharding == "fsdp2":
        adds_up = placement.accumulation > 1 and not placement.sync_each_batch
        whole = 2 * trained if adds_up else 0
        return {
            "weights": (4 * (trained + adapters) + w * (total - trained)) / n,
            "gradients": 4 * (trained + adapters) / n + whole,
            "optimizer": 8 * (trained + adapters) / n,
        }
    split = n if sharding == "zero3" else 1
    return {
        "weights": 2 * total / split + 4 * adapters / split,
        "gradients": 2 * trained / n + 4 * adapters / n,
        "optimizer": 12 * trained / n + 8 * adapters / n,
    }


def gathered_bytes(size: ModelSize, placement: Placement) -> float:
    """Return what sharding needs on top: whole layers while they compute, or buckets (estimate).

    ``zero3``, ``fsdp2``: two of the largest blocks in bfloat16 (one computes, one is fetched), with
    their gradients; embedding and head in bfloat16, and the head once more in float32 for TRL's
    fused head. ``zero2``: DeepSpeed's two buckets of 5e8 elements.
    """
    if placement.sharding in ("none", "ddp") or placement.n_processes == 1:
        return 0.0
    if placement.sharding == "zero2":
        return 2 * 2 * 5e8
    head = size.language.hidden * size.language.vocabulary
    return 2 * 2 * 2 * size.largest_layer + 2 * 2 * head + 4 * head


def reference_bytes(size: ModelSize, placement: Placement) -> float:
    """Return the reference model of Eq. 1: w P, split over the GPUs by zero3 and fsdp2.

    With LoRA there is none: it is the model with its adapters off.
    """
    if size.n_trainable.get("adapters"):
        return 0.0
    split = placement.n_processes if placement.sharding in ("zero3", "fsdp2") else 1
    return placement.weight_bytes * size.total / split


def language_activation_bytes(
    size: LanguageSize, n_tokens: float, *, checkpointing: bool, residual_bytes: int
) -> float:
    """Return what the language model keeps for its backward (estimate).

    A block keeps about 8 d + 2 q + 3 k + 4 f values of 2 bytes a token: residuals, two norms with
    their float32 inside, what enters the projections (d wide); queries and their result (q wide);
    keys and values (k wide); gate, up and their products (f wide). Checkpointing keeps one residual
    of d values a block, and all of a single block at a time.
    """
    q, k = size.n_heads * size.head_dim, size.n_kv_heads * size.head_dim
    block = 2 * n_tokens * (8 * size.hidden + 2 * q + 3 * k + 4 * size.intermediate)
    if not checkpointing:
        return block * size.n_layers
    return block + residual_bytes * n_tokens * size.hidden * size.n_layers


def vision_activation_bytes(
    size: VisionSize, n_patches: float, *, checkpointing: bool, residual_bytes: int
) -> float:
    """Return what the vision tower keeps for its backward: as the language model (estimate)."""
    block = 2 * n_patches * (16 * size.hidden + 4 * size.intermediate)
    if not checkpointing:
        return block * size.n_layers
    return block + residual_bytes * n_patches * size.hidden * size.n_layers


def head_bytes(size: LanguageSize, n_scored: float) -> float:
    """Return the scores of the head: a tile in float32, with its gradient (estimate)."""
    n_tokens, n_words = FUSED_HEAD_TILE
    return 2 * 4 * min(n_scored, n_tokens) * min(size.vocabulary, n_words)


def activation_bytes(
    size: ModelSize,
    n_rows: int,
    n_tokens: float,
    n_patches: float,
    n_scored: float,
    *,
    checkpointing: bool,
    residual_bytes: int,
) -> float:
    """Return the activations of a micro batch (estimate).

    Args:
        size: The model.
        n_rows: Rows of the micro batch.
        n_tokens: Of its longest row: the others are padded to it.
        n_patches: Of a row's image.
        n_scored: Tokens of a row that are in the loss.
        checkpointing: Whether blocks are computed again in the backward.
        residual_bytes: Of a value between two blocks: 2, or 4 where weights are float32.
    """
    kept = language_activation_bytes(
        size.language,
        n_rows * n_tokens,
        checkpointing=checkpointing,
        residual_bytes=residual_bytes,
    ) + vision_activation_bytes(
        size.vision,
        n_rows * n_patches,
        checkpointing=checkpointing,
        residual_bytes=residual_bytes,
    )
    return kept + head_bytes(size.language, n_rows * n_scored)


@dataclass(frozen=True)
class CacheRoom:
    """vLLM's share of a GPU.

    Attributes:
        share: Bytes that it takes.
        weights: Bytes of its weights, bfloat16.
        cache: Bytes left for the KV cache; negative where the weights do not fit.
        n_sequences: Sequences of the longest length that the cache holds.
    """

    share: float
    weights: float
    cache: float
    n_sequences: float


def vllm_bytes(
    size: ModelSize,
    gpu_memory: float,
    utilisation: float,
    max_length: int,
    tensor_parallel: int = 1,
    weight_bytes: int = 2,
) -> CacheRoom:
    """Return what vLLM holds: its share of the GPU, less weights and 1 GiB to compute in."""
    share = utilisation * gpu_memory
    weights = weight_bytes * size.total / tensor_parallel
    cache = share - weights - 2**30
    per_sequence = max_length * kv_bytes_per_token(size.language) / tensor_parallel
    return CacheRoom(share, weights, cache, cache / per_sequence)


def total_bytes(items: Mapping[str, float]) -> float:
    """Return the sum of the items, the runtime's own memory included."""
    return sum(items.values()) + RUNTIME
