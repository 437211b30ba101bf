"""Going on from a checkpoint: the fix that vision-language models need in transformers 5.17.

Qwen2.5-VL's weights are saved under the names of the published checkpoints ("visual.…"), and
``from_pretrained`` renames them ("model.visual.…"); ``Trainer`` does not when it resumes, finds no
name it knows, and goes on with the weights that the run started from, with a warning (transformers
issue 43701).
"""

from typing import Any

from peft import PeftModel
from trl import SFTTrainer


class ResumesWeights:
    """Put before a ``Trainer`` class: resumes through ``from_pretrained``.

    DeepSpeed, FSDP and PEFT checkpoints have ways of their own, which keep the names.
    """

    is_fsdp_enabled: bool
    model: Any

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        model = self.model if model is None else model
        if self.is_fsdp_enabled or isinstance(model, PeftModel):
            stock: Any = super()
            stock._load_from_checkpoint(resume_from_checkpoint, model)
            return
        saved = type(model).from_pretrained(resume_from_checkpoint, dtype=model.dtype)
        model.load_state_dict(saved.state_dict())


class ResumableSFTTrainer(ResumesWeights, SFTTrainer):
    """``SFTTrainer`` that resumes a vision-language model with its weights."""
