"""SFT and GRPO of the 7B model on 1, 4, 16 and 64 nodes: the table of ``launch/README.md``.

    python -m recipes.budget.nodes

Rows, lengths and G are those assumed in ``recipes.budget.paper``; hours rest on
``recipes.budget.assumptions``. Sending is taken to run beside the computing: a step takes the
longer of the two, and then the writing of completions. Loading, saving and padding are left out.

A ring over all GPUs enters and leaves a node once, so what leaves a node is what one GPU sends;
NCCL runs a ring for each network port, and the ports share it. Within a node it goes over NVLink.
"""

import sys
from dataclasses import dataclass
from typing import Any

from recipes.budget import paper
from recipes.budget.assumptions import Assumptions
from recipes.budget.costs import RowTokens, Sampling, grpo_cost, sft_cost
from recipes.budget.gpus import load_gpu
from recipes.budget.memory import (
    Placement,
    activation_bytes,
    gathered_bytes,
    reference_bytes,
    state_bytes,
    total_bytes,
)
from recipes.budget.model_size import ModelSize, known_model, measure_model
from recipes.budget.tokens import ImageRule, known_image_processor
from recipes.budget.traffic import step_traffic

NODES = (1, 4, 16, 64)
GPUS_PER_NODE = 8
SFT_ROWS_A_STEP = 64  # authors' code, recipes/configs/fake_hr1_7b/sft.yaml
COMPLETIONS_A_STEP = paper.RL_BATCH * paper.GENERATIONS
NVLINK = 300e9  # bytes a second and direction of an A100; data sheet: 600 GB/s both ways
IMAGE_BYTES = 150_000  # of a stored image, assumed
VLLM_SHARE = 0.3  # vllm_gpu_memory_utilization of recipes/configs/fake_hr1_7b/grpo.yaml
N_EXTRA_FORWARDS = 2  # the reference; the policy's own probabilities, for vLLM's correction


@dataclass(frozen=True)
class Point:
    """A stage at a number of nodes.

    Attributes:
        stage: SFT or GRPO.
        nodes: Of 8 GPUs.
        rows_per_gpu: Rows or completions that a GPU computes at a time.
        accumulation: Micro batches a step.
        rows_per_step: Rows or completions of all GPUs.
        memory: Bytes of a GPU, an estimate.
        computing: Seconds a step.
        sent: Bytes that a GPU sends a step.
        sending: Seconds a step, a network port for each GPU.
        sending_by_one_port: Seconds a step, one port a node.
        writing: Seconds a step in which vLLM writes completions.
        images: Bytes of images read a second, by all nodes together.
        steps: Of the whole run.
    """

    stage: str
    nodes: int
    rows_per_gpu: int
    accumulation: int
    rows_per_step: int
    memory: float
    computing: float
    sent: float
    sending: float
    sending_by_one_port: float
    writing: float
    images: float
    steps: float

    @property
    def step(self) -> float:
        """Return the seconds of a step, a port for each GPU."""
        return max(self.computing, self.sending) + self.writing

    @property
    def hours(self) -> float:
        """Return the hours of the run, a port for each GPU."""
        return self.steps * self.step / 3600

    @property
    def hours_by_one_port(self) -> float:
        """Return the hours of the run, one port a node."""
        return self.steps * (max(self.computing, self.sending_by_one_port) + self.writing) / 3600

    def cells(self) -> list[str]:
        """Return the row of the table."""
        return [
            self.stage,
            str(self.nodes),
            f"{self.rows_per_gpu} x {self.accumulation}",
            str(self.rows_per_step),
            f"{self.memory / 2**30:.0f}",
            f"{self.computing:.2f}",
            f"{self.sent / 1e9:.0f}",
            f"{self.sending:.2f}",
            f"{self.sending_by_one_port:.2f}",
            f"{self.writing:.2f}",
            f"{self.step:.2f}",
            f"{self.images / 1e6:.0f}",
            f"{self.hours:.1f}",
            f"{self.hours_by_one_port:.1f}",
        ]


HEADER = (
    *("Stage", "Nodes", "Rows x micro batches", "Rows a step", "GiB a GPU", "Computing s"),
    *("GB sent", "Sending s: 8 ports", "1 port", "Writing s", "Step s"),
    *("Images MB/s", "Hours: 8 ports", "1 port"),
)


def divide(rows: int, n_gpus: int, most: int) -> tuple[int, int]:
    """Return rows a GPU takes at a time (``most`` at most), and micro batches, for a step.

    Never less than a row a GPU: with more GPUs than rows the step grows instead.
    """
    share = max(1, rows // n_gpus)
    per_gpu = min(share, most)
    return per_gpu, share // per_gpu


def _memory(
    size: ModelSize, placement: Placement, rows: RowTokens, per_gpu: int, *, reference: bool
) -> float:
    items: dict[str, Any] = dict(state_bytes(size, placement))
    items["gathered"] = gathered_bytes(size, placement)
    if reference:
        items["reference"] = reference_bytes(size, placement)
        items["vLLM"] = VLLM_SHARE * load_gpu(paper.GPU).memory
    items["activations"] = activation_bytes(
        size,
        per_gpu,
        float((rows.prompt + rows.answer).max()),
        float(rows.patches.max()),
        float(rows.answer.max()),
        checkpointing=True,
        residual_bytes=2,
    )
    return total_bytes(items)


def _point(stage: str, nodes: int, size: ModelSize, rows: RowTokens) -> Point:
    n, grpo = nodes * GPUS_PER_NODE, stage == "GRPO"
    wanted = COMPLETIONS_A_STEP if grpo else SFT_ROWS_A_STEP
    per_gpu, micro = divide(wanted, n, 8 if grpo else 2)
    per_step = per_gpu * micro * n
    gpu, assumed = load_gpu(paper.GPU), Assumptions()
    placement = Placement("fsdp2", n, 2, True, micro, sync_each_batch=grpo)
    sent = step_traffic("fsdp2", size.total, size.trainable, n, micro, sync_each_batch=grpo).total
    if grpo:
        sampling = Sampling(
            per_step,
            per_step / min(per_gpu * micro, paper.GENERATIONS),
            per_gpu * micro,
            float(rows.answer.max()),
        )
        cost = grpo_cost(size, rows, sampling, per_step, N_EXTRA_FORWARDS, True, gpu, n, assumed)
        # Forwards without gradient gather bfloat16 weights, the sync to vLLM float32 ones.
        sent += (n - 1) / n * size.total * (2 * N_EXTRA_FORWARDS * micro + 4)
        read = per_step / paper.GENERATIONS
        steps = paper.RL_ROWS * paper.RL_EPOCHS / read
    else:
        cost = sft_cost(size, rows, per_step, True, gpu, n, assumed)
        read, steps = per_step, (paper.DIRECT_ROWS + paper.REASONING_ROWS) / per_step
    sending, by_one_port = sent / NVLINK, sent / NVLINK
    if nodes > 1:
        by_one_port = sent / assumed.network
        sending = max(sending, by_one_port / GPUS_PER_NODE)
    step = max(cost.compute_seconds, sending) + cost.writing_seconds
    return Point(
        stage,
        nodes,
        per_gpu,
        micro,
        per_step,
        _memory(size, placement, rows, per_gpu, reference=grpo),
        cost.compute_seconds,
        sent,
        sending,
        by_one_port,
        cost.writing_seconds,
        read * IMAGE_BYTES / step,
        steps,
    )


def points() -> list[Point]:
    """Return both stages at every number of nodes."""
    size = measure_model(paper.MODEL)
    known: Any = known_model(paper.MODEL)
    rule = ImageRule(known_image_processor(known["image_processor"], {}), size.vision)
    direct = paper.assumed_rows(rule, paper.GENIMAGE, paper.DIRECT_TOKENS)
    reasoning = paper.assumed_rows(rule, paper.FAKECLUE, paper.REASONING_TOKENS)
    # SFT: 95 of 100 rows are direct ones, and stand for all.
    return [_point("SFT", nodes, size, direct) for nodes in NODES] + [
        _point("GRPO", nodes, size, reasoning) for nodes in NODES
    ]


def table() -> str:
    """Return the Markdown table."""
    lines = [HEADER, ("---", *["---:"] * (len(HEADER) - 1)), *(p.cells() for p in points())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
