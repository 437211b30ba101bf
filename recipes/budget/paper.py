"""What utilisation the paper's own hours imply.

Sec. 4.1: "approximately 20 hours for SFT and 40 hours for RL on a system equipped with 32 A100
GPUs". Sec. 3: 1.834 M + 94.188 K rows, one epoch; 15.712 K rows, three epochs. It gives neither
image sizes, nor lengths, nor G: those are assumed below, and said wherever the result is shown.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from recipes.budget.assumptions import Assumptions
from recipes.budget.costs import RowTokens, Sampling, grpo_cost, sft_cost
from recipes.budget.gpus import load_gpu
from recipes.budget.model_size import known_model, measure_model
from recipes.budget.tokens import ImageRule, known_image_processor

MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
N_GPUS, GPU = 32, "a100-80"  # A100s of both sizes compute alike
SFT_HOURS, RL_HOURS = 20, 40
DIRECT_ROWS, REASONING_ROWS, RL_ROWS, RL_EPOCHS, RL_BATCH = 1_834_000, 94_188, 15_712, 3, 32

# Width, height and share of the images. GenImage's generators make one size each, an eighth of the
# generated half each; the other half is ImageNet, about 500 x 375. FakeClue is taken as 512 x 512.
GENIMAGE = [
    (500, 375, 8),
    (128, 128, 1),
    (256, 256, 3),
    (512, 512, 3),
    (1024, 1024, 1),
]
FAKECLUE = [(512, 512, 1)]
PROMPT_TOKENS = 150  # system prompt 123 in Qwen2.5's tokenizer, question 5 to 13, template
DIRECT_TOKENS, REASONING_TOKENS = 8, 120
GENERATIONS = 8
ASSUMED = (
    "images 500 x 375, 128, 256, 512 and 1024 px (GenImage) and 512 px (FakeClue), 150 tokens of "
    "text, answers of 8 and 120 tokens, G = 8, checkpointing, reference and sampling forwards"
)


def implied_utilisation() -> dict[str, Any]:
    """Return FLOPs of the paper's two stages and the share of 32 A100s' that its hours use.

    Model FLOPs are forward and backward alone (the M of MFU), hardware FLOPs what is executed.
    """
    size = measure_model(MODEL)
    known: Mapping[str, Any] = known_model(MODEL) or {}
    rule = ImageRule(known_image_processor(known["image_processor"], {}), size.vision)
    gpu, assumed = load_gpu(GPU), Assumptions()
    direct = assumed_rows(rule, GENIMAGE, DIRECT_TOKENS)
    reasoning = assumed_rows(rule, FAKECLUE, REASONING_TOKENS)
    sft = [
        sft_cost(size, rows, n, True, gpu, N_GPUS, assumed)
        for rows, n in ((direct, DIRECT_ROWS), (reasoning, REASONING_ROWS))
    ]
    n_steps = RL_ROWS // RL_BATCH * RL_EPOCHS
    completions = n_steps * RL_BATCH * GENERATIONS
    sampling = Sampling(
        completions, completions / GENERATIONS, GENERATIONS, n_steps * REASONING_TOKENS
    )
    rl = grpo_cost(size, reasoning, sampling, completions, 2, True, gpu, N_GPUS, assumed)
    return {
        "assumed": ASSUMED,
        "sft": _used(sum(c.model_flops for c in sft), sum(c.hardware_flops for c in sft), SFT_HOURS)
        | {"steps_at_1_a_gpu": -(-(DIRECT_ROWS + REASONING_ROWS) // N_GPUS)},
        "rl": _used(rl.model_flops, rl.hardware_flops, RL_HOURS)
        | {"steps_at_32_prompts": n_steps, "seconds_per_step": RL_HOURS * 3600 / n_steps},
    }


def assumed_rows(rule: ImageRule, images: list[tuple[int, int, int]], answer: int) -> RowTokens:
    """Return one row for each image of ``images``, in the shares that they stand there."""
    sizes = np.repeat([image[:2] for image in images], [image[2] for image in images], axis=0)
    patches, tokens = rule.count(sizes[:, 0], sizes[:, 1])
    return RowTokens(PROMPT_TOKENS + tokens, np.full(len(sizes), answer), patches)


def _used(model_flops: float, hardware_flops: float, hours: float) -> dict[str, float]:
    available = hours * 3600 * N_GPUS * load_gpu(GPU).flops
    return {
        "hours": hours,
        "model_flops": model_flops,
        "hardware_flops": hardware_flops,
        "model_utilisation": model_flops / available,
        "hardware_utilisation": hardware_flops / available,
    }
