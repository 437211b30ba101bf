"""Sample rows with vLLM, chunk by chunk, so that a killed job goes on where it was."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from data_prep.prompts import stable_integer
from recipes.generation import EngineArguments, Generator, Request
from recipes.partial import append_chunk, read_partial


@dataclass(frozen=True)
class SamplingSettings:
    """How a row is sampled.

    Attributes:
        num_generations: Samples of each row.
        temperature: Above 0 for more than one sample.
        max_completion_length: In tokens.
        seed: With a row's id and bank it decides the row's samples.
    """

    num_generations: int
    temperature: float
    max_completion_length: int
    seed: int


def row_seed(row: dict[str, Any], seed: int) -> int:
    """Return the seed of a row's samples; an image may be asked under both banks."""
    return stable_integer(f"{seed}/{row['id']}/{row['question_bank']}") % 2**31


class Rows(Protocol):
    """Rows that are read when they are needed: a ``Dataset``, or what is asked of one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> dict[str, Any]: ...


def sample_rows(
    rows: Rows,
    settings: SamplingSettings,
    engine_args: EngineArguments,
    chunk_rows: int,
    path: Path,
) -> list[dict[str, Any]]:
    """Sample every row that ``path`` does not hold yet, appending to it after each chunk.

    Returns:
        One record a row, in the rows' order: id, bank, label, completions and their lengths.
    """
    records = read_partial(path)
    if len(records) == len(rows):
        return records
    generate = Generator(engine_args, settings.seed)
    with tqdm(total=len(rows), initial=len(records), desc="rows sampled") as progress:
        while len(records) < len(rows):
            stop = min(len(records) + chunk_rows, len(rows))
            chunk = [rows[index] for index in range(len(records), stop)]
            samples = generate(
                [Request(r["prompt"], r["images"][0], row_seed(r, settings.seed)) for r in chunk],
                num_generations=settings.num_generations,
                temperature=settings.temperature,
                max_completion_length=settings.max_completion_length,
            )
            sampled = [
                {
                    "id": row["id"],
                    "question_bank": row["question_bank"],
                    "label": row["label"],
                    "completions": [generated.text for generated in completions],
                    "n_completion_tokens": [generated.n_tokens for generated in completions],
                }
                for row, completions in zip(chunk, samples, strict=True)
            ]
            append_chunk(path, sampled)
            records += sampled
            progress.update(len(sampled))
    return records
