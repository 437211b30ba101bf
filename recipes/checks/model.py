"""The model of a stage: its parts, its processor or what stands in for one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.budget.model_size import ModelSize, known_model, measure_model
from recipes.budget.tokens import (
    CharacterText,
    ImageRule,
    TemplateText,
    TextRule,
    known_image_processor,
)
from recipes.checks.findings import WARNING, Findings
from recipes.checks.settings import Settings
from recipes.vlm import check_image_limits, image_limits, load_processor


@dataclass(frozen=True)
class Measured:
    """A model and how it counts tokens."""

    size: ModelSize
    text: TextRule
    images: ImageRule


def measure(settings: Settings, findings: Findings) -> Measured:
    """Measure a stage's model.

    Raises:
        UserError: Its configuration cannot be had, its chat template changes answers, or it has no
            image limits of the kind that is set.
    """
    train_vision = bool(settings.values.get("train_vision", True))
    size = measure_model(settings.model, train_vision, settings.peft_config)
    processor = _processor(settings, findings)
    if processor is None:
        known: Any = known_model(settings.model)
        limits = image_limits(
            settings.limits["min_pixels"],
            settings.limits["max_pixels"],
            settings.limits["max_tiles"],
        )
        stand_in = known_image_processor(known["image_processor"], limits)
        check_image_limits(_Holder(stand_in), limits, settings.model)
        return Measured(size, CharacterText(), ImageRule(stand_in, size.vision))
    return Measured(
        size, TemplateText(processor), ImageRule(processor.image_processor, size.vision)
    )


@dataclass(frozen=True)
class _Holder:
    image_processor: Any


def _processor(settings: Settings, findings: Findings) -> Any:
    """Return the processor; None for a model that is known but not to be had here."""
    try:
        return load_processor(settings.model, **settings.limits)
    except OSError as error:
        if Path(settings.model).is_dir() or known_model(settings.model) is None:
            raise
        findings.add(
            WARNING,
            f"the tokenizer of {settings.model} is neither in the cache nor to be had "
            f"({str(error).splitlines()[0][:60]}…): text tokens are estimated at 4 characters "
            "each, and the chat template is not checked. Download the model, or name a folder "
            "with MODEL.",
        )
        return None
