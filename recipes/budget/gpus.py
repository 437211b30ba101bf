"""The table of GPUs."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from rewards.errors import UserError

GPUS_FILE = Path(__file__).with_name("gpus.yaml")


@dataclass(frozen=True)
class Gpu:
    """A GPU as its data sheet has it.

    Attributes:
        name: Key of ``gpus.yaml``.
        flops: bfloat16 operations a second, dense.
        bandwidth: Of its memory, bytes a second.
        memory: Bytes.
    """

    name: str
    flops: float
    bandwidth: float
    memory: int


def load_gpu(name: str) -> Gpu:
    """Return a GPU of the table.

    Raises:
        UserError: There is none of that name.
    """
    table = yaml.safe_load(GPUS_FILE.read_text(encoding="utf-8"))
    if name not in table:
        raise UserError(
            f"GPU {name!r} is not in {GPUS_FILE.name}: it has {sorted(table)}. Add a line with the "
            "numbers of its data sheet."
        )
    row = table[name]
    return Gpu(
        name, row["bf16_tflops"] * 1e12, row["bandwidth_gbs"] * 1e9, row["memory_mib"] * 2**20
    )
