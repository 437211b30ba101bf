"""Two GRPO steps on one vLLM engine, the second without the image-token fix.

Run by test_pipeline.py in a process of its own: ``count_image_tokens.py RESULT.json OPTIONS``.
Writes how many image tokens each of vLLM's prompts had, step by step.
"""

import json
import sys
from pathlib import Path
from typing import Any

from trl import GRPOTrainer

from recipes import grpo
from recipes.image_tokens import ImageTokenGRPOTrainer

counts: list[list[int]] = []


class HalfFixedTrainer(grpo.HybridGRPOTrainer):
    """Fixed in the first step, TRL's own in the second."""

    def _generate_single_turn(self, prompt_ids: Any, images: Any, *args: Any, **kwargs: Any) -> Any:
        engine: Any = self.vllm_generation
        generate = type(engine).generate

        def count(*args: Any, **kwargs: Any) -> Any:
            result = generate(engine, *args, **kwargs)
            counts.append([list(ids).count(self._image_pad_token_id) for ids in result[0]])
            return result

        engine.generate = count
        base = ImageTokenGRPOTrainer if self.state.global_step == 0 else GRPOTrainer
        return base._generate_single_turn(self, prompt_ids, images, *args, **kwargs)


if __name__ == "__main__":
    result = Path(sys.argv.pop(1))
    grpo.HybridGRPOTrainer = HalfFixedTrainer
    grpo.main()
    result.write_text(json.dumps(counts))
