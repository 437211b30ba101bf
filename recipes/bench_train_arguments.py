"""What ``make bench-train`` is told, and the names of its contenders."""

from dataclasses import dataclass, field


@dataclass
class BenchArguments:
    """What is trained, and how long."""

    model_name_or_path: str = field(
        metadata={"help": "A checkpoint that answers: without a reward GRPO has no loss."}
    )
    output_dir: str = field(metadata={"help": "Gets bench_train.json, .md and .png."})
    n_rows: int = field(default=256, metadata={"help": "Of SFT; an epoch warms up, one is timed."})
    batch_size: int = field(default=8, metadata={"help": "Of SFT, as TRL's script has it."})
    n_prompts: int = field(default=4, metadata={"help": "Of a GRPO step."})
    num_generations: int = field(default=8, metadata={"help": "Of a prompt."})
    n_steps: int = field(default=12, metadata={"help": "Of GRPO, four of them to warm up."})
    max_completion_length: int = field(default=64, metadata={"help": "In tokens."})
    max_pixels: int = field(default=448 * 448, metadata={"help": "Images are shrunk to this."})
    vllm_max_model_length: int = field(default=640, metadata={"help": "Prompt and answer."})
    n_turns: int = field(default=1, metadata={"help": "How often each way runs."})
    stages: list[str] = field(default_factory=lambda: ["sft", "grpo"], metadata={"help": "Which."})
    ways: list[str] | None = field(
        default=None, metadata={"help": "Of each stage, beside stock and ours; none: all."}
    )
    gpu: bool = field(default=False, metadata={"help": "On the GPU: bfloat16, sleep mode too."})
    seed: int = field(default=0, metadata={"help": "Of data, order and sampling."})
    way: str | None = field(default=None, metadata={"help": "Run this one alone, as a child."})


# What a way has, by its name: see ``recipes/bench_train_ways.py``.
SFT_WAYS = {
    "stock": (),
    "stock + length grouping": ("grouped",),
    "stock + pre-sized images": ("presized",),
    "stock + worker, prefetch": ("workers",),
    "stock + patch embedding as a product": ("product",),
    "ours": ("grouped", "presized", "workers", "product", "recipe"),
}
GRPO_WAYS = {
    "stock": (),
    "stock + images decoded, processed once": ("images",),
    "stock + vision tower once": ("vision",),
    "stock + pre-sized images": ("presized",),
    "stock - prefix caching": ("no_prefix",),
    "stock + 4 steps a generation": ("steps",),
    "ours": ("recipe",),
    "ours + 4 steps a generation": ("recipe", "steps"),
}
GPU_WAYS = {"ours + sleep mode": ("recipe", "sleep")}
