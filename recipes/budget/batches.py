"""How many steps, epochs, samples and generations a configuration makes on N processes."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """What a training run does.

    Attributes:
        rows_per_step: Rows (SFT) or prompts (GRPO) that an optimizer step sees; may be a fraction
            where a generation batch is used for several steps.
        steps_per_epoch: Optimizer steps.
        steps: Of the whole run.
        epochs: Passes over the rows, as a fraction where ``max_steps`` cuts.
        rows_unused: Rows that an epoch leaves out.
        rows_repeated: Rows that an epoch sees twice, to fill the last batch.
        completions: Generated in the whole run; 0 for SFT.
    """

    rows_per_step: float
    steps_per_epoch: int
    steps: int
    epochs: float
    rows_unused: int
    rows_repeated: int
    completions: int


def sft_schedule(
    n_rows: int,
    per_device: int,
    accumulation: int,
    n_processes: int,
    epochs: float,
    max_steps: int = -1,
) -> Schedule:
    """Return what the Trainer does with ``n_rows``.

    A process makes b = ceil(n / (N p)) micro batches an epoch, the last ones filled with rows from
    the start; ceil(b / a) steps follow, the last of fewer micro batches.
    """
    micro_batches = math.ceil(n_rows / (per_device * n_processes))
    steps_per_epoch = max(math.ceil(micro_batches / accumulation), 1)
    steps = max_steps if max_steps > 0 else math.ceil(epochs * steps_per_epoch)
    return Schedule(
        rows_per_step=per_device * accumulation * n_processes,
        steps_per_epoch=steps_per_epoch,
        steps=steps,
        epochs=steps / steps_per_epoch,
        rows_unused=0,
        rows_repeated=micro_batches * per_device * n_processes - n_rows,
        completions=0,
    )


@dataclass(frozen=True)
class GroupBatch:
    """GRPO's batch settings.

    Attributes:
        num_generations: G, completions a prompt.
        per_device: Completions that a process computes at a time.
        accumulation: Micro batches a step.
        steps_per_generation: Micro batches that a generation fills.
        num_iterations: Times a generation is used.
        n_processes: N.
    """

    num_generations: int
    per_device: int
    accumulation: int
    steps_per_generation: int
    num_iterations: int
    n_processes: int

    @property
    def generation_batch(self) -> int:
        """Return the completions that a generation makes, over all processes."""
        return self.per_device * self.n_processes * self.steps_per_generation


def grpo_schedule(n_rows: int, batch: GroupBatch, epochs: float, max_steps: int = -1) -> Schedule:
    """Return what the GRPOTrainer does with ``n_rows``.

    A generation takes q = N p s / G prompts; an epoch has floor(n / q) of them, a rest is left out.
    Each fills s micro batches, iterated; a of them are a step.
    """
    prompts = batch.generation_batch // batch.num_generations
    n_generations = n_rows // prompts
    micro_batches = n_generations * batch.steps_per_generation * batch.num_iterations
    steps_per_epoch = max(math.ceil(micro_batches / batch.accumulation), 1)
    steps = max_steps if max_steps > 0 else math.ceil(epochs * steps_per_epoch)
    per_step = batch.per_device * batch.n_processes * batch.accumulation
    generated = math.ceil(
        steps * batch.accumulation / (batch.steps_per_generation * batch.num_iterations)
    )
    return Schedule(
        rows_per_step=per_step / batch.num_generations,
        steps_per_epoch=steps_per_epoch,
        steps=steps,
        epochs=steps / steps_per_epoch,
        rows_unused=n_rows - n_generations * prompts,
        rows_repeated=0,
        completions=generated * batch.generation_batch,
    )


def explain_batch(batch: GroupBatch, n_rows: int | None = None) -> list[str]:
    """Return why the trainer would refuse these settings, with the nearest that divide."""
    reasons = []
    if batch.num_generations < 2:
        reasons.append(
            f"num_generations is {batch.num_generations}: a group of one has no spread, so no "
            "advantage (Eq. 2). Set it to 2 or more."
        )
        return reasons
    arithmetic = (
        f"{batch.n_processes} processes x per_device_train_batch_size {batch.per_device} x "
        f"steps_per_generation {batch.steps_per_generation} = {batch.generation_batch} completions"
    )
    if batch.generation_batch % batch.num_generations:
        reasons.append(
            f"{arithmetic}, which num_generations {batch.num_generations} does not divide: a "
            f"prompt's group would be cut. Nearest that divide: {_nearest(batch)}."
        )
        return reasons
    prompts = batch.generation_batch // batch.num_generations
    if n_rows is not None and prompts > n_rows:
        reasons.append(
            f"{arithmetic} are {prompts} prompts, and the data set has {n_rows} rows: no batch "
            "can be filled. Lower per_device_train_batch_size or gradient_accumulation_steps."
        )
    return reasons


def _nearest(batch: GroupBatch) -> str:
    """Return the nearest value of each setting that divides, the others as they are."""
    g, n = batch.num_generations, batch.n_processes
    rest = {
        "gradient_accumulation_steps": (batch.steps_per_generation, n * batch.per_device),
        "per_device_train_batch_size": (batch.per_device, n * batch.steps_per_generation),
        "processes": (n, batch.per_device * batch.steps_per_generation),
    }
    parts = []
    for name, (value, factor) in rest.items():
        unit = g // math.gcd(g, factor)  # value must be a multiple of this
        below, above = value // unit * unit, -(-value // unit) * unit
        parts.append(f"{name} " + " or ".join(str(x) for x in (below, above) if x))
    divisors = [x for x in range(2, batch.generation_batch + 1) if batch.generation_batch % x == 0]
    closest = sorted(sorted(divisors, key=lambda x: abs(x - g))[:2])
    if closest:
        parts.append("num_generations " + " or ".join(map(str, closest)))
    return "; ".join(parts)


def groups_are_whole(batch: GroupBatch) -> bool:
    """Return whether the completions of a prompt stay on one process.

    Where they do, vLLM reads a prompt and its image once for all of them (prefix cache), and a
    reward can look at a whole group.
    """
    return batch.per_device * batch.steps_per_generation % batch.num_generations == 0
