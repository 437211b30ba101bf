"""How the paper's two stages scale over nodes: the tables of ``launch/README.md``.

    python -m recipes.budget.scaling

For 1, 4, 16 and 64 nodes of 8 A100 with 80 GB: settings that fit, time, memory, traffic and
reading, by the formulas of ``make check``. Rows and lengths are those that
``recipes/budget/paper.py`` assumes. Nothing here was measured on such a machine.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recipes.budget import paper
from recipes.budget.assumptions import Assumptions
from recipes.budget.costs import Cost, Sampling, grpo_cost, sft_cost
from recipes.budget.gpus import load_gpu
from recipes.budget.memory import (
    RUNTIME,
    Placement,
    activation_bytes,
    gathered_bytes,
    reference_bytes,
    state_bytes,
)
from recipes.budget.model_size import ModelSize, known_model, measure_model
from recipes.budget.tokens import ImageRule, known_image_processor
from recipes.budget.traffic import step_traffic
from rewards.errors import run_cli

NODES = (1, 4, 16, 64)
GPUS_A_NODE = 8
WITHIN_NODE = 300e9  # bytes a second that an A100 sends over NVLink (600 GB/s both ways together)
BYTES_A_IMAGE = 250e3  # GenImage: some 500 GB in 2.68 M files are 190 KB each, FakeClue's 270 KB
# Settings by number of nodes: rows (SFT) or completions (GRPO) a GPU at a time, accumulation.
SFT_BATCHES = {1: (2, 4), 4: (2, 1), 16: (1, 1), 64: (1, 1)}
GRPO_BATCHES = {1: (8, 4), 4: (8, 1), 16: (2, 1), 64: (1, 1)}
IMAGE_TOKENS, ANSWER_TOKENS = 1280, 512  # at the limits of the configuration: memory is for these
VLLM_SHARE = 0.3  # of a GPU, as in the configuration


@dataclass(frozen=True)
class Row:
    """A number of nodes.

    Attributes:
        nodes: Of 8 GPUs each.
        sharding: "all": weights split over all GPUs (``fsdp2.yaml``); "node": over those of a
            node, each node with a whole copy (hybrid sharding).
        batch: Rows or completions a GPU, times accumulation.
        per_step: Rows or prompts that a step sees.
        steps: Of the whole stage.
        computing: Seconds of a step.
        writing: Seconds of a step in which completions are written; 0 for SFT.
        sent: Bytes that a GPU sends a step.
        sending: Seconds of a step that this takes by itself.
        memory: Bytes on a GPU at most (estimate).
        read: Bytes of images a second, all GPUs together.
    """

    nodes: int
    sharding: str
    batch: tuple[int, int]
    per_step: float
    steps: float
    computing: float
    writing: float
    sent: float
    sending: float
    memory: float
    read: float

    @property
    def hours(self) -> tuple[float, float]:
        """Return the hours if all sending is hidden behind computing, and if none is."""
        return (
            self.steps * (max(self.computing, self.sending) + self.writing) / 3600,
            self.steps * (self.computing + self.sending + self.writing) / 3600,
        )


@dataclass(frozen=True)
class Plan:
    """How a stage is laid out: see ``Row``."""

    nodes: int
    sharding: str
    per_device: int
    accumulation: int

    @property
    def split_over(self) -> int:
        """Return the number of GPUs that a copy of the weights is split over."""
        return GPUS_A_NODE * (self.nodes if self.sharding == "all" else 1)


class Scaling:
    """The paper's model, rows and GPU."""

    def __init__(self) -> None:
        """Measure the model from its configuration; no weights are loaded."""
        self.size: ModelSize = measure_model(paper.MODEL)
        known: Any = known_model(paper.MODEL)
        rule = ImageRule(known_image_processor(known["image_processor"], {}), self.size.vision)
        self.direct = paper.row_tokens(rule, paper.GENIMAGE, paper.DIRECT_TOKENS)
        self.reasoning = paper.row_tokens(rule, paper.FAKECLUE, paper.REASONING_TOKENS)
        self.gpu, self.assumed = load_gpu(paper.GPU), Assumptions()

    def sft(self, nodes: int, sharding: str) -> Row:
        """Return SFT over ``nodes``."""
        n, (per_device, accumulation) = nodes * GPUS_A_NODE, SFT_BATCHES[nodes]
        per_step = n * per_device * accumulation
        steps = (paper.DIRECT_ROWS + paper.REASONING_ROWS) / per_step
        costs = [
            sft_cost(self.size, rows, n_rows, True, self.gpu, n, self.assumed)
            for rows, n_rows in (
                (self.direct, paper.DIRECT_ROWS),
                (self.reasoning, paper.REASONING_ROWS),
            )
        ]
        computing = sum(cost.compute_seconds for cost in costs) / steps
        plan = Plan(nodes, sharding, per_device, accumulation)
        return self._row(plan, per_step, steps, computing, 0.0, 0.0, 0.0)

    def grpo(self, nodes: int, sharding: str) -> Row:
        """Return GRPO over ``nodes``, vLLM in the trainers' processes."""
        n, (per_device, accumulation) = nodes * GPUS_A_NODE, GRPO_BATCHES[nodes]
        own = per_device * accumulation
        completions = n * own
        prompts = completions / paper.GENERATIONS
        steps = paper.RL_ROWS * paper.RL_EPOCHS / prompts
        # Where a prompt's completions lie on several GPUs, each of these reads the prompt.
        read = prompts * max(1, paper.GENERATIONS / own)
        sampling = Sampling(completions, read, own, paper.REASONING_TOKENS)
        cost: Cost = grpo_cost(
            self.size, self.reasoning, sampling, completions, 2, True, self.gpu, n, self.assumed
        )
        # Two forwards without gradient gather the weights once each a micro batch; vLLM is given
        # the whole of them once a generation.
        extra = (2 * accumulation + 1) * 2 * self.size.total
        held = VLLM_SHARE * self.gpu.memory
        plan = Plan(nodes, sharding, per_device, accumulation)
        return self._row(
            plan, prompts, steps, cost.compute_seconds, cost.writing_seconds, extra, held
        )

    def _row(
        self,
        plan: Plan,
        per_step: float,
        steps: float,
        computing: float,
        writing: float,
        extra: float,
        held: float,
    ) -> Row:
        """Return a row; ``extra`` bytes of weights are gathered besides, vLLM holds ``held``."""
        within, between = self._sent(plan, extra)
        sending = within / WITHIN_NODE + between / self.assumed.network
        seconds = max(computing, sending) + writing
        return Row(
            plan.nodes,
            plan.sharding,
            (plan.per_device, plan.accumulation),
            per_step,
            steps,
            computing,
            writing,
            within + between,
            sending,
            self._memory(plan, held),
            per_step * BYTES_A_IMAGE / seconds,
        )

    def _sent(self, plan: Plan, extra: float) -> tuple[float, float]:
        """Return the bytes that a GPU sends within its node and to others, a step."""
        n, m = plan.split_over, plan.accumulation
        split = step_traffic(
            "fsdp2", self.size.total, self.size.trainable, n, m, sync_each_batch=m > 1
        ).total
        split += extra * (n - 1) / n
        if plan.sharding == "all":
            return (split, 0.0) if plan.nodes == 1 else (0.0, split)
        # Each GPU's share of the gradients is all-reduced with those of its place in other nodes.
        copies = plan.nodes
        return split, m * 2 * (copies - 1) / copies * 2 * self.size.trainable / n

    def _memory(self, plan: Plan, held: float) -> float:
        placement = Placement(
            "fsdp2", plan.split_over, 2, True, plan.accumulation, sync_each_batch=True
        )
        longest = IMAGE_TOKENS + paper.PROMPT_TOKENS + ANSWER_TOKENS
        activations = activation_bytes(
            self.size,
            plan.per_device,
            longest,
            IMAGE_TOKENS * self.size.vision.patches_per_token,
            ANSWER_TOKENS,
            checkpointing=True,
            residual_bytes=2,
        )
        reference = reference_bytes(self.size, placement) if held else 0.0
        states = sum(state_bytes(self.size, placement).values())
        gathered = gathered_bytes(self.size, placement)
        return states + gathered + activations + reference + held + RUNTIME


def table(rows: Sequence[Row], unit: str) -> str:
    """Return the rows as a Markdown table; ``unit`` is what a step sees."""
    columns = [
        "Nodes",
        "Split over",
        "A GPU x accumulation",
        f"{unit} a step",
        "Steps",
        "Computing, s",
        "Writing, s",
        "Sent a GPU, GB",
        "Sending, s",
        "Hours, sending hidden to not",
        "Memory, GiB",
        "Reading, MB/s",
    ]
    lines = [f"| {' | '.join(columns)} |", "|---:|---|" + "---:|" * 10]
    for row in rows:
        cells = [
            f"{row.nodes}",
            row.sharding,
            f"{row.batch[0]} x {row.batch[1]}",
            f"{row.per_step:,.0f}",
            f"{row.steps:,.0f}",
            f"{row.computing:.2f}",
            f"{row.writing:.2f}",
            f"{row.sent / 1e9:.0f}",
            f"{row.sending:.2f}",
            "{:.1f} to {:.1f}".format(*row.hours),
            f"{row.memory / 2**30:.0f}",
            f"{row.read / 1e6:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def layouts() -> list[tuple[int, str]]:
    """Return number of nodes and sharding of each row."""
    return [
        (n, sharding) for n in NODES for sharding in ("all", "node") if n > 1 or sharding == "all"
    ]


def tables() -> dict[str, str]:
    """Return stage -> table."""
    scaling = Scaling()
    return {
        "SFT": table([scaling.sft(*layout) for layout in layouts()], "Rows"),
        "GRPO": table([scaling.grpo(*layout) for layout in layouts()], "Prompts"),
    }


def main() -> None:
    """Print the two tables."""
    argparse.ArgumentParser(
        prog="python -m recipes.budget.scaling", description=__doc__
    ).parse_args()
    for stage, found in tables().items():
        print(f"{stage}\n\n{found}\n")


if __name__ == "__main__":
    run_cli(main)
