"""Going on from a checkpoint: the fixes that transformers 5.17 needs.

Qwen2.5-VL's weights are saved under the names of the published checkpoints ("visual.…"), and
``from_pretrained`` renames them ("model.visual.…"); ``Trainer`` does not when it resumes, finds no
name it knows, and goes on with the weights that the run started from, with a warning (transformers
issue 43701).

Several processes on CPUs load the optimizer to a device "cpu:0", which ``torch.load`` does not
know; it is told here that this is the CPU.
"""

from typing import Any

import torch
from peft import PeftModel
from trl import SFTTrainer

from recipes.inspection import StopsOnBadLoss
from recipes.length_grouping import GroupsByLength

torch.serialization.register_package(
    0,
    lambda storage: None,
    lambda storage, location: storage if str(location).startswith("cpu:") else None,
)


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


class ResumableSFTTrainer(ResumesWeights, StopsOnBadLoss, GroupsByLength, SFTTrainer):
    """``SFTTrainer`` that resumes with its weights and stops at a loss that is no number.

    Its ``group_by_length`` counts image tokens.
    """
