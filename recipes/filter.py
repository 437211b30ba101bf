"""The rejection filter (Sec. 3 of Fake-HR1): sample each row 5 times, drop always-right ones.

    make filter CONFIG=demo                         a minute or two on 2 cores, no GPU

Writes the kept rows as a data set (``kept/``, with a ``pass_rate`` column), every row's pass rate
and the reason it was dropped (``pass_rates.jsonl``), a histogram and a summary. A run that was
killed goes on where it was; a row's samples depend on its id and the seed alone.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset

from data_prep.loading import SAMPLING_COLUMNS, load_rows
from data_prep.writer import write_datasets
from recipes.config import parse
from recipes.generation import EngineArguments
from recipes.plots import plot_pass_rates
from recipes.reward_gain import mean_rewards
from recipes.row_samples import SamplingSettings, sample_rows
from recipes.run_folder import open_run, resolved_config
from recipes.vlm import check_model
from rewards import score_completion
from rewards.errors import UserError, run_cli
from rewards.files import write_json, write_text


@dataclass
class FilterArguments:
    """What is sampled and what is dropped."""

    dataset_name: str = field(metadata={"help": "Data set folder or hub id: the RL rows."})
    output_dir: str = field(metadata={"help": "Gets kept/, pass_rates.jsonl and the rest."})
    split: str = field(default="train", metadata={"help": "Split to sample."})
    num_generations: int = field(default=5, metadata={"help": "Samples a row (paper: 5)."})
    temperature: float = field(default=1.0, metadata={"help": "Of the sampling."})
    max_completion_length: int = field(default=512, metadata={"help": "In tokens."})
    drop_never_right: bool = field(
        default=False, metadata={"help": "Drop rows without a right answer too (not in the paper)."}
    )
    max_rows: int | None = field(default=None, metadata={"help": "First rows only; none: all."})
    chunk_rows: int = field(default=128, metadata={"help": "Rows sampled between two saves."})
    seed: int = field(default=0, metadata={"help": "Of the sampling, with the row's id."})
    write_kept: bool = field(
        default=True, metadata={"help": "Write the kept rows; false: pass rates and rewards only."}
    )
    restart: bool = field(default=False, metadata={"help": "Throw away what output_dir holds."})

    def __post_init__(self) -> None:
        """Refuse values that cannot be sampled with."""
        if self.num_generations < 1 or self.chunk_rows < 1:
            raise ValueError("num_generations and chunk_rows must be at least 1.")
        if self.num_generations > 1 and self.temperature <= 0:
            raise ValueError(
                f"temperature={self.temperature} gives the same answer every time; "
                "set temperature above 0."
            )


def decide(record: dict[str, Any], drop_never_right: bool) -> dict[str, Any]:
    """Return a row's pass rate and, if it is dropped, why (Sec. 3: right in all runs)."""
    right = [score_completion(text, record["label"]).correct for text in record["completions"]]
    n_correct, n_samples = sum(right), len(right)
    reason = None
    if n_correct == n_samples:
        reason = "always right"
    elif n_correct == 0 and drop_never_right:
        reason = "never right"
    return {
        "id": record["id"],
        "question_bank": record["question_bank"],
        "n_samples": n_samples,
        "n_correct": n_correct,
        "pass_rate": n_correct / n_samples,
        "dropped": reason,
    }


def write_results(
    rows: Dataset, records: list[dict[str, Any]], args: FilterArguments, model: str
) -> None:
    """Write pass rates, histogram, kept rows and, last, the summary."""
    output_dir = Path(args.output_dir)
    decisions = [decide(record, args.drop_never_right) for record in records]
    lines = "".join(json.dumps(decision) + "\n" for decision in decisions)
    write_text(output_dir / "pass_rates.jsonl", lines)
    n_correct: dict[str, list[int]] = {}
    for decision in decisions:
        n_correct.setdefault(decision["question_bank"], []).append(decision["n_correct"])
    plot_pass_rates(n_correct, args.num_generations, output_dir / "pass_rates.png")
    kept = [index for index, decision in enumerate(decisions) if decision["dropped"] is None]
    if kept and args.write_kept:
        dataset = rows.select(kept)
        dataset = dataset.add_column("pass_rate", [decisions[i]["pass_rate"] for i in kept])
        write_datasets(
            {args.split: dataset},
            output_dir / "kept",
            title="RL rows that the model does not always get right",
            description=f"From {args.dataset_name}, {args.num_generations} samples a row.",
            command=f"python -m recipes.filter --dataset_name {args.dataset_name} "
            f"--model_name_or_path {model}",
        )
    summary = {
        "n_rows": len(decisions),
        "n_kept": len(kept),
        "dropped": dict(Counter(d["dropped"] for d in decisions if d["dropped"])),
        "mean_rewards": mean_rewards(records),
    }
    write_json(output_dir / "summary.json", summary)
    print(f"kept {len(kept)} of {len(decisions)} rows; dropped: {summary['dropped']}")
    if not kept and args.write_kept:
        raise UserError(
            f"no rows are left: the model was right {args.num_generations} of "
            f"{args.num_generations} times on all {len(decisions)}. Sample at a higher temperature "
            "or take harder data; there is nothing for RL to learn here."
        )


def main() -> None:
    """Sample and filter."""
    args, engine_args = parse((FilterArguments, EngineArguments))
    check_model(engine_args.model_name_or_path)
    rows = load_rows(args.dataset_name, args.split, SAMPLING_COLUMNS)
    if args.max_rows is not None:
        rows = rows.select(range(min(args.max_rows, len(rows))))
    output_dir = Path(args.output_dir)
    open_run(output_dir, resolved_config(args, engine_args), rows)
    print(
        f"{len(rows)} rows x {args.num_generations} samples from {engine_args.model_name_or_path}"
    )
    settings = SamplingSettings(
        args.num_generations, args.temperature, args.max_completion_length, args.seed
    )
    path = output_dir / "samples.jsonl"
    records = sample_rows(rows, settings, engine_args, args.chunk_rows, path)
    write_results(rows, records, args, engine_args.model_name_or_path)


if __name__ == "__main__":
    run_cli(main)
