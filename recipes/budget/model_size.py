"""A model's parts, counted on the meta device: no weights are read and none are allocated."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText

from recipes.vlm import check_model, vision_modules
from rewards.errors import UserError

KNOWN_MODELS = Path(__file__).with_name("known_models")


@dataclass(frozen=True)
class VisionSize:
    """The vision tower.

    Attributes:
        n_layers: Transformer blocks.
        hidden: Width.
        intermediate: Width of the MLP.
        n_full_attention: Blocks in which every patch of a sequence sees every other.
        window_patches: Patches of a window, for the other blocks.
        tile_patches: Length of a sequence where images are cut into tiles; None: one sequence an
            image.
        patches_per_token: Patches merged into one image token.
        weights_per_patch: Weights of matrix products that a patch passes.
        weights_per_token: Of the projector, that an image token passes.
    """

    n_layers: int
    hidden: int
    intermediate: int
    n_full_attention: int
    window_patches: int
    tile_patches: int | None
    patches_per_token: int
    weights_per_patch: int
    weights_per_token: int


@dataclass(frozen=True)
class LanguageSize:
    """The language model.

    Attributes:
        n_layers: Transformer blocks.
        hidden: Width.
        intermediate: Width of the MLP.
        n_heads: Query heads.
        n_kv_heads: Key and value heads.
        head_dim: Width of a head.
        vocabulary: Rows of the head.
        max_positions: Longest sequence it was made for.
        weights_per_token: Weights of matrix products that a token passes, head not included.
    """

    n_layers: int
    hidden: int
    intermediate: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    vocabulary: int
    max_positions: int
    weights_per_token: int


@dataclass(frozen=True)
class ModelSize:
    """A vision-language model.

    Attributes:
        name: Path or hub id.
        source: Where its configuration comes from.
        vision: The vision tower.
        language: The language model.
        n_parameters: By part: vision, embedding, layers, head (0 where it is the embedding).
        n_trainable: Parameters with a gradient, by part, adapters under ``adapters``.
        largest_layer: Parameters of the largest transformer block.
    """

    name: str
    source: str
    vision: VisionSize
    language: LanguageSize
    n_parameters: Mapping[str, int]
    n_trainable: Mapping[str, int]
    largest_layer: int

    @property
    def total(self) -> int:
        """Return the number of parameters, adapters not included."""
        return sum(self.n_parameters.values())

    @property
    def trainable(self) -> int:
        """Return the number of parameters with a gradient."""
        return sum(self.n_trainable.values())


def known_model(name: str) -> dict[str, Any] | None:
    """Return what ``known_models`` holds of a hub id: source, configuration, image processor."""
    for path in sorted(KNOWN_MODELS.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["name"] == name:
            return content
    return None


def load_model_config(model: str) -> tuple[Any, str]:
    """Return a model's configuration and where it comes from, without asking a hub if possible.

    Raises:
        UserError: There is no such folder, or the hub id is neither known nor to be had.
    """
    check_model(model)
    known = None if Path(model).is_dir() else known_model(model)
    if known is not None:
        values = dict(known["config"])
        return AutoConfig.for_model(values.pop("model_type"), **values), known["source"]
    try:
        return AutoConfig.from_pretrained(model), model
    except (OSError, ValueError) as error:
        names = [json.loads(p.read_text())["name"] for p in sorted(KNOWN_MODELS.glob("*.json"))]
        raise UserError(
            f"the configuration of {model} cannot be had "
            f"({str(error).splitlines()[0]}). Download the model's config.json into a folder and "
            f"name that with MODEL, or take one that is known without a network: {names}."
        ) from error


def measure_model(
    model: str, train_vision: bool = True, peft_config: Any | None = None
) -> ModelSize:
    """Count a model's parts.

    Args:
        model: Folder or hub id.
        train_vision: Whether the vision tower gets gradients.
        peft_config: LoRA settings as ``trl.get_peft_config`` gives them; None: all weights train.
    """
    size = _measure_whole(model)
    if peft_config is not None:
        return replace(size, n_trainable={"adapters": _count_adapters(model, peft_config)})
    return size if train_vision else replace(size, n_trainable={**size.n_parameters, "vision": 0})


@cache
def _measure_whole(model: str) -> ModelSize:
    config, source = load_model_config(model)
    meta = _on_meta(config)
    layers = [m for m in meta.modules() if type(m).__name__ in _block_names(meta)]
    n_parameters = _count_parts(meta)
    return ModelSize(
        name=model,
        source=source,
        vision=_vision_size(meta, config),
        language=_language_size(meta, config),
        n_parameters=n_parameters,
        n_trainable=n_parameters,
        largest_layer=max(_n_parameters(layer) for layer in layers),
    )


def _on_meta(config: Any) -> Any:
    with torch.device("meta"):
        meta: Any = AutoModelForImageTextToText.from_config(config)
    meta.tie_weights()
    return meta


def _n_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _block_names(meta: Any) -> set[str]:
    """Return the class names of transformer blocks: those that stand in lists of layers."""
    return {
        type(module[0]).__name__
        for name, module in meta.named_modules()
        if isinstance(module, nn.ModuleList) and name.endswith(("layers", "blocks", "layer"))
    }


def _count_parts(meta: Any) -> dict[str, int]:
    embedding = meta.get_input_embeddings().weight
    head = meta.get_output_embeddings().weight
    vision = sum(_n_parameters(module) for module in vision_modules(meta))
    n_head = 0 if head is embedding else head.numel()
    total = _n_parameters(meta)
    return {
        "vision": vision,
        "embedding": embedding.numel(),
        "layers": total - vision - embedding.numel() - n_head,
        "head": n_head,
    }


def _count_adapters(model: str, peft_config: Any) -> int:
    config, _ = load_model_config(model)
    adapted: Any = get_peft_model(_on_meta(config), peft_config, low_cpu_mem_usage=True)
    return sum(p.numel() for p in adapted.parameters() if p.requires_grad)


def _product_weights(module: nn.Module) -> int:
    """Return the weights of all linear and convolution layers in ``module``."""
    kinds = (nn.Linear, nn.Conv2d, nn.Conv3d)
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, kinds))


def _vision_size(meta: Any, config: Any) -> VisionSize:
    vision = config.vision_config
    tower = vision_modules(meta)[0]
    n_layers = getattr(vision, "depth", None) or vision.num_hidden_layers
    if hasattr(vision, "spatial_merge_size"):  # Qwen: an image is one sequence
        mergers = [m for name, m in tower.named_children() if "merger" in name]
        merged = sum(_product_weights(merger) for merger in mergers)
        full = getattr(vision, "fullatt_block_indexes", range(n_layers))
        window = (getattr(vision, "window_size", 0) // vision.patch_size) ** 2
        patches_per_token, tile = vision.spatial_merge_size**2, None
    else:  # InternVL: a tile is one sequence, with a class token
        side = vision.image_size[0] // vision.patch_size[0]
        merged = _product_weights(meta.model.multi_modal_projector)
        full, window, tile = range(n_layers), 0, side**2 + 1
        patches_per_token = round(1 / config.downsample_ratio**2)
    return VisionSize(
        n_layers=n_layers,
        hidden=vision.hidden_size,
        intermediate=vision.intermediate_size,
        n_full_attention=len(full),
        window_patches=window,
        tile_patches=tile,
        patches_per_token=patches_per_token,
        weights_per_patch=_product_weights(tower) - (merged if tile is None else 0),
        weights_per_token=merged,
    )


def _language_size(meta: Any, config: Any) -> LanguageSize:
    text = config.get_text_config()
    return LanguageSize(
        n_layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        n_heads=text.num_attention_heads,
        n_kv_heads=text.num_key_value_heads,
        head_dim=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
        vocabulary=text.vocab_size,
        max_positions=text.max_position_embeddings,
        weights_per_token=_product_weights(meta.model.language_model),
    )
