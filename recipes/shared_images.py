"""An image of a GRPO batch is worked on once, not for each of the G answers to it.

TRL 1.16.0 decodes the image for each copy of its prompt (again at each of ``steps_per_generation``
loads of the same batch), processes each copy twice, and runs the vision tower on each copy in every
forward. The copies are equal, and so is all that is made of them: here each is made once and handed
out G times. Losses and gradients stay those of the stock trainer up to rounding
(``tests/recipes/test_shared_images.py``).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import Qwen2VLImageProcessor
from transformers.image_processing_utils import BatchFeature

from recipes.image_sizing import decode, shrunk, undecoded
from recipes.patch_embedding import use_linear_patch_embedding
from recipes.vlm import vision_modules

FIELDS = {"pixel_values", "image_grid_thw"}  # what Qwen's processors make


class SharesImages:
    """Put before ``GRPOTrainer``: decodes and processes an image once for all copies of a row."""

    processing_class: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take ``GRPOTrainer``'s arguments; rows are left undecoded until they are needed."""
        for name in ("train_dataset", "eval_dataset"):
            if kwargs.get(name) is not None:
                kwargs[name] = undecoded(kwargs[name])
        stock: Any = super()
        stock.__init__(*args, **kwargs)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Any:
        stock: Any = super()
        image_processor = self.processing_class.image_processor
        with processed_once(image_processor):
            return stock._generate_and_score_completions(decoded_once(inputs, image_processor))


class SharesVision:
    """Put before ``GRPOTrainer``: policy and reference see an image once for all copies."""

    model: Any
    ref_model: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take ``GRPOTrainer``'s arguments."""
        stock: Any = super()
        stock.__init__(*args, **kwargs)
        for model in (self.model, self.ref_model):
            if model is not None:
                share_vision(model)
                use_linear_patch_embedding(model)


def decoded_once(rows: list[dict[str, Any]], image_processor: Any) -> list[dict[str, Any]]:
    """Return rows with their images decoded and at the size the model sees; copies share one."""
    known: dict[Any, Any] = {}

    def image_of(stored: Any) -> Any:
        if not isinstance(stored, dict):
            return stored
        key = stored["bytes"] or stored["path"]
        if key not in known:
            known[key] = shrunk(decode(stored), image_processor)
        return known[key]

    return [{**row, "images": [image_of(image) for image in row["images"]]} for row in rows]


@contextmanager
def processed_once(image_processor: Any) -> Iterator[None]:
    """Make a Qwen image processor remember, while this lasts, what it made of which pixels."""
    if not isinstance(image_processor, Qwen2VLImageProcessor):
        yield
        return
    stock: Callable[..., BatchFeature] = image_processor.preprocess
    known: dict[Any, tuple[torch.Tensor, torch.Tensor]] = {}

    def preprocess(images: Any, **kwargs: Any) -> BatchFeature:
        settings = {k: v for k, v in kwargs.items() if k != "return_tensors" and v is not None}
        flat = _flat(images)
        if not all(hasattr(image, "tobytes") and hasattr(image, "mode") for image in flat):
            return stock(images, **kwargs)
        # The very pixels are the key: TRL and transformers copy images on the way.
        keys = [(i.mode, i.size, i.tobytes(), repr(sorted(settings.items()))) for i in flat]
        new = {key: image for key, image in zip(keys, flat, strict=True) if key not in known}
        if new:
            made = stock(list(new.values()), **{**kwargs, "return_tensors": "pt"})
            if set(made) != FIELDS:
                return stock(images, **kwargs)
            grids = made["image_grid_thw"]
            pieces = torch.split(made["pixel_values"], grids.prod(-1).tolist())
            known.update(zip(new, zip(pieces, grids, strict=True), strict=True))
        pixels, grids = zip(*(known[key] for key in keys), strict=True)
        return BatchFeature(
            {"pixel_values": torch.cat(pixels), "image_grid_thw": torch.stack(grids)}
        )

    image_processor.preprocess = preprocess
    try:
        yield
    finally:
        del image_processor.preprocess  # the class's own is seen again; nothing is saved with it


def _flat(images: Any) -> list[Any]:
    if not isinstance(images, list | tuple):
        return [images]
    return [image for item in images for image in _flat(item)]


def share_vision(model: Any) -> None:
    """Make the vision tower of a Qwen model run once for equal images of a batch."""
    for tower in vision_modules(model)[:1]:
        if hasattr(tower, "spatial_merge_size"):
            shared = _SharedTower(tower.spatial_merge_size)
            tower.register_forward_pre_hook(shared.before, with_kwargs=True)
            tower.register_forward_hook(shared.after, with_kwargs=True)


class _SharedTower:
    """Hooks of a vision tower: unique images in, the outputs of all images out."""

    def __init__(self, merge_size: int) -> None:
        self._merge_size = merge_size
        self._call: tuple[list[int], list[int]] | None = None

    def before(self, tower: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        grids = kwargs.get("grid_thw")
        others = [v for k, v in kwargs.items() if k != "grid_thw" and torch.is_tensor(v)]
        self._call = None
        if grids is None or len(args) != 1 or others:
            return None
        pieces = torch.split(args[0], grids.prod(-1).tolist())
        firsts, index = _unique(pieces, grids)
        if len(firsts) == len(pieces):
            return None
        n_patches = [len(pieces[i]) for i in firsts]
        self._call = (n_patches, index)
        pixels = torch.cat([pieces[i] for i in firsts])
        return (pixels,), {**kwargs, "grid_thw": grids[firsts]}

    def after(self, tower: Any, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
        if self._call is None:
            return None
        n_patches, index = self._call
        for name, value in output.items():
            output[name] = self._handed_out(value, n_patches, index)
        return output

    def _handed_out(self, value: Any, n_patches: list[int], index: list[int]) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(self._handed_out(item, n_patches, index) for item in value)
        per_token = self._merge_size**2 if len(value) * self._merge_size**2 == sum(n_patches) else 1
        pieces = torch.split(value, [n // per_token for n in n_patches])
        return torch.cat([pieces[i] for i in index])


def _unique(pieces: Any, grids: torch.Tensor) -> tuple[list[int], list[int]]:
    """Return the first place of each distinct image, and for each image which of these it is."""
    # A few values of the middle patch sort images at one transfer; equality is then looked at.
    probes = torch.stack([piece[len(piece) // 2, :8] for piece in pieces]).tolist()
    firsts: list[int] = []
    by_probe: dict[Any, list[int]] = {}
    index = []
    for place, (probe, grid) in enumerate(zip(probes, grids.tolist(), strict=True)):
        alike = by_probe.setdefault((*probe, *grid), [])
        same = next((n for n in alike if torch.equal(pieces[firsts[n]], pieces[place])), None)
        if same is None:
            same = len(firsts)
            firsts.append(place)
            alike.append(same)
        index.append(same)
    return firsts, index
