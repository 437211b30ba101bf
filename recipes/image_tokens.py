"""One image, one placeholder: the fix that GRPO with vLLM in the same process needs in TRL 1.16.0.

The trainer hands vLLM a prompt whose image placeholder is already expanded to N image tokens,
together with the image, and vLLM expands the first of them again: 2N - 1 tokens reach the model,
without an error (TRL issues 6294 and 6401). The override gives vLLM one placeholder an image; the
trainer goes on with the expanded prompt.
"""

from collections.abc import Sequence
from typing import Any

import trl
from packaging.version import Version
from trl import GRPOTrainer

from rewards.errors import UserError

LAST_TRL_WITH_THE_BUG = "1.16.0"
VISION_TOKENS = (
    *("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),  # Qwen
    *("<img>", "</img>", "<IMG_CONTEXT>"),  # InternVL
)


def collapse_runs(token_ids: Sequence[int], image_token_id: int) -> list[int]:
    """Return ``token_ids`` with every run of the image token shrunk to one."""
    return [
        token
        for index, token in enumerate(token_ids)
        if token != image_token_id or index == 0 or token_ids[index - 1] != image_token_id
    ]


def vision_token_ban(tokenizer: Any) -> dict[int, float]:
    """Return a logit bias against sampling vision tokens, which would crash the trainer."""
    ids = tokenizer.convert_tokens_to_ids(list(VISION_TOKENS))
    return {token_id: -100.0 for token_id in ids if token_id not in (None, tokenizer.unk_token_id)}


class ImageTokenGRPOTrainer(GRPOTrainer):
    """``GRPOTrainer`` that gives a colocated vLLM one placeholder an image."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take ``GRPOTrainer``'s arguments.

        Raises:
            UserError: This TRL is newer than the last one that was seen to need the fix.
        """
        if Version(trl.__version__) > Version(LAST_TRL_WITH_THE_BUG):
            raise UserError(
                f"TRL is {trl.__version__}, and the image-token fix was checked up to "
                f"{LAST_TRL_WITH_THE_BUG}: run tests/recipes/test_image_tokens.py without the fix, "
                "then raise LAST_TRL_WITH_THE_BUG or remove recipes/image_tokens.py."
            )
        super().__init__(*args, **kwargs)
        # InternVL's prompt would reach vLLM with its placeholders expanded twice, without an error.
        if self.use_vllm and self.vllm_mode == "colocate" and self._image_pad_token_id is None:
            raise UserError(
                "TRL finds no image placeholder that it knows in this model's tokenizer "
                "(<|image_pad|> or <|image|>), so vLLM cannot be given one placeholder an image. "
                "Set use_vllm: false, or take a Qwen model."
            )

    def _generate_single_turn(
        self,
        prompt_ids: list[list[int]],
        images: list[Any] | None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if self.use_vllm and self.vllm_mode == "colocate" and images is not None:
            image_token_id: Any = self._image_pad_token_id
            prompt_ids = [collapse_runs(ids, image_token_id) for ids in prompt_ids]
        return super()._generate_single_turn(prompt_ids, images, *args, **kwargs)
