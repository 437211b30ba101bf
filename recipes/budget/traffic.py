"""What a step sends over the network, for each GPU.

Ring algorithms: to reduce or gather x bytes over n GPUs, each GPU sends x (n - 1) / n bytes; an
all-reduce is a reduce-scatter and an all-gather, twice that.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Traffic:
    """Bytes that a GPU sends in an optimizer step.

    Attributes:
        weights: Gathered before they are used.
        gradients: Reduced after the backward.
    """

    weights: float
    gradients: float

    @property
    def total(self) -> float:
        """Return the sum."""
        return self.weights + self.gradients


def step_traffic(
    sharding: str,
    n_parameters: int,
    n_trainable: int,
    n_processes: int,
    n_micro_batches: int,
    *,
    gradient_bytes: int = 2,
    sync_each_batch: bool = False,
) -> Traffic:
    """Return what an optimizer step sends under a way of sharing.

    With r = (n - 1) / n, P parameters of 2 bytes, T trainable ones of b gradient bytes, m micro
    batches:

    * ``none``: nothing.
    * ``ddp``: gradients are all-reduced once a step (accelerate leaves the other micro batches
      out): 2 r b T.
    * ``zero2``: gradients are reduce-scattered each micro batch, m r b T; the updated weights are
      gathered once, 2 r T.
    * ``zero3``, ``fsdp2``: weights are gathered for the forward and again for the backward of each
      micro batch, 2 m r 2 P (a checkpoint's second forward runs within the backward's gather);
      gradients are reduce-scattered each micro batch by ``zero3`` and with ``sync_each_batch``,
      m r b T, else once a step, r b T (``fsdp2`` then keeps them whole on each GPU meanwhile).

    Args:
        sharding: none, ddp, zero2, zero3 or fsdp2.
        n_parameters: P.
        n_trainable: T.
        n_processes: n.
        n_micro_batches: m, ``gradient_accumulation_steps``.
        gradient_bytes: b; DDP reduces gradients in their own dtype, 4 for float32 weights.
        sync_each_batch: accelerate's setting of that name (``accelerator_config``).
    """
    share = (n_processes - 1) / n_processes
    gradients = share * gradient_bytes * n_trainable
    if sharding == "none":
        return Traffic(0.0, 0.0)
    if sharding == "ddp":
        return Traffic(0.0, 2 * gradients)
    if sharding == "zero2":
        return Traffic(share * 2 * n_trainable, n_micro_batches * gradients)
    n_reduced = n_micro_batches if sharding == "zero3" or sync_each_batch else 1
    return Traffic(2 * n_micro_batches * share * 2 * n_parameters, n_reduced * gradients)


def traffic_seconds(n_bytes: float, bandwidth: float) -> float:
    """Return the seconds a step's traffic takes at ``bandwidth`` bytes a second out of a node.

    A ring over all GPUs leaves a node once. Most of it runs beside the computation: it costs time
    where it takes longer than that.
    """
    return n_bytes / bandwidth
