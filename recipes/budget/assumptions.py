"""What the hours rest on and no formula gives. Each stands on the page."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumptions:
    """Set on the command line of ``recipes.check``.

    Attributes:
        utilisation: Share of the GPU's bfloat16 operations that training and prefill reach,
            repeated forwards counted in (hardware utilisation).
        bandwidth_share: Share of the memory's bandwidth that writing tokens reaches.
        network: Bytes a second that leave a node: 25e9 is one 200 Gbit/s port, fully used. A ring
            over all GPUs leaves a node once, so this is also how fast each GPU's bytes go round.
        answer_tokens: Of a completion where the data set has no gold answers.
    """

    utilisation: float = 0.35
    bandwidth_share: float = 0.6
    network: float = 25e9
    answer_tokens: int = 200
