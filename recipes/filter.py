"""The rejection filter (Sec. 3 of Fake-HR1): sample each row 5 times, drop always-right ones.

    make filter CONFIG=demo                         a minute or two on 2 cores, no GPU
    make filter CONFIG=… ARGS="--num_shards 32 --shard_index $SLURM_ARRAY_TASK_ID"

Writes the kept rows as a data set (``kept/``, with the pass rates as columns), every row's pass
rates and the reason it was dropped (``pass_rates.jsonl``), a histogram and a summary. One engine
runs on each GPU of the machine; with ``--shard_index`` the process samples its share alone, on any
machine that sees the folder, and the one that finds all shares there writes the results. A run that
was killed goes on where it was. A row's samples depend on its id, its bank and the seed alone, and
the results stand in the data set's order, however the work was divided.
"""

import fcntl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.loading import SAMPLING_COLUMNS, load_rows
from data_prep.prompts import load_prompts
from data_prep.writer import write_datasets
from recipes.config import parse
from recipes.eval_shards import ShardArguments, n_processes, own_command, run_shards
from recipes.filter_asks import (
    Asks,
    answered_elsewhere,
    make_asks,
    merged,
    own_banks,
    shard_files,
)
from recipes.filter_results import by_bank, with_pass_rates, write_lines
from recipes.generation import EngineArguments
from recipes.plots import plot_pass_rates
from recipes.reward_gain import mean_rewards
from recipes.row_samples import SamplingSettings, sample_rows
from recipes.run_folder import open_run, resolved_config
from recipes.vlm import check_model
from rewards import QUESTION_BANKS, score_completion
from rewards.errors import UserError, run_cli
from rewards.files import write_json

OWN, BOTH = "own", "both"


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
    measure: str = field(
        default=OWN,
        metadata={"help": "own: each row under its own question; both: under either bank too."},
    )
    decide_by: str = field(
        default=OWN,
        metadata={
            "help": "own: drop what is always right under its own question; both: under all."
        },
    )
    neutral_share: float = field(
        default=0.0,
        metadata={"help": "Share of rows, 0 to 1, that get a neutral question for their own."},
    )
    prompts_file: str | None = field(
        default=None, metadata={"help": "System prompt and question banks; none: the paper's."}
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
        for name in ("measure", "decide_by"):
            if getattr(self, name) not in (OWN, BOTH):
                raise ValueError(f"{name} is {getattr(self, name)!r}; set it to own or both.")
        if self.decide_by == BOTH and self.measure == OWN:
            raise ValueError("decide_by: both needs measure: both.")
        if not 0.0 <= self.neutral_share <= 1.0:
            raise ValueError(f"neutral_share={self.neutral_share} must be between 0 and 1.")


def decide(record: dict[str, Any], drop_never_right: bool) -> dict[str, Any]:
    """Return a row's pass rate and, if it is dropped, why (Sec. 3: right in all runs)."""
    scored = [score_completion(text, record["label"]) for text in record["completions"]]
    n_correct, n_samples = sum(s.correct for s in scored), len(scored)
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
        "thinking_rate": sum(s.thinking for s in scored) / n_samples,
        "dropped": reason,
    }


def decide_rows(
    records: Sequence[dict[str, Any]], own: Sequence[str], args: FilterArguments
) -> list[list[dict[str, Any]]]:
    """Return for each row its decisions, of its own question first, then of the banks measured.

    ``dropped`` of the first decision is the row's; where both banks decide, a row is dropped only
    for a reason that holds under every question.
    """
    decisions = iter([decide(record, args.drop_never_right) for record in records])
    rows = []
    for bank in own:
        row = [next(decisions)]
        if args.measure == BOTH:
            row += [next(decisions) for other in QUESTION_BANKS if other != bank]
        if args.decide_by == BOTH and len({decision["dropped"] for decision in row}) > 1:
            row[0]["dropped"] = None
        for other in row[1:]:
            other["dropped"] = None  # a measurement: the row's fate stands with its own question
        rows.append(row)
    return rows


def write_results(
    asks: Asks, records: list[dict[str, Any]], own: list[str], args: FilterArguments, model: str
) -> None:
    """Write samples, pass rates, histogram, kept rows and, last, the summary."""
    output_dir = Path(args.output_dir)
    rows = decide_rows(records, own, args)
    decisions = [row[0] for row in rows]
    own_keys = {(decision["id"], decision["question_bank"]) for decision in decisions}
    own_records = [r for r in records if (r["id"], r["question_bank"]) in own_keys]
    write_lines(output_dir / "samples.jsonl", own_records)
    if len(own_records) < len(records):
        others = [r for r in records if (r["id"], r["question_bank"]) not in own_keys]
        write_lines(output_dir / "measured_samples.jsonl", others)
    write_lines(output_dir / "pass_rates.jsonl", [decision for row in rows for decision in row])
    n_correct: dict[str, list[int]] = {}
    for decision in (decision for row in rows for decision in row):
        n_correct.setdefault(decision["question_bank"], []).append(decision["n_correct"])
    plot_pass_rates(n_correct, args.num_generations, output_dir / "pass_rates.png")
    kept = [index for index, decision in enumerate(decisions) if decision["dropped"] is None]
    if not kept and args.write_kept:
        raise UserError(
            f"no rows are left: the model was right {args.num_generations} of "
            f"{args.num_generations} times on all {len(decisions)}. Sample at a higher temperature "
            "or take harder data; there is nothing for RL to learn here."
        )
    if args.write_kept:
        write_datasets(
            {args.split: with_pass_rates(asks, rows).select(kept)},
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
        "mean_rewards": mean_rewards(own_records),
        "banks": by_bank([decision for row in rows for decision in row]),
    }
    write_json(output_dir / "summary.json", summary)
    print(f"kept {len(kept)} of {len(decisions)} rows; dropped: {summary['dropped']}")


def sample_shard(
    asks: Asks, args: FilterArguments, shards: ShardArguments, engine_args: EngineArguments
) -> None:
    """Sample this process's share of the asks, as far as no file holds it yet."""
    shard = shards.shard()
    folder = Path(args.output_dir) / "shards"
    own_file = folder / f"{shard.index:05d}-of-{shard.count:05d}.jsonl"
    part = asks.part(shard, answered_elsewhere(folder, own_file))
    settings = SamplingSettings(
        args.num_generations, args.temperature, args.max_completion_length, args.seed
    )
    print(
        f"shard {shard.index + 1} of {shard.count}: {len(part)} of {len(asks)} questions x "
        f"{args.num_generations} samples from {engine_args.model_name_or_path}"
    )
    sample_rows(part, settings, engine_args, args.chunk_rows, own_file)


def merge(asks: Asks, own: list[str], args: FilterArguments, model: str) -> bool:
    """Write the results if all shares are there; one process at a time, the others find them.

    Returns:
        Whether the results are there.
    """
    output_dir = Path(args.output_dir)
    with (output_dir / ".merge.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a killed process lets go of it
        records = merged(output_dir / "shards", asks)
        if records is None:
            return False
        summary = output_dir / "summary.json"
        newest = max(path.stat().st_mtime_ns for path in shard_files(output_dir / "shards"))
        if not summary.is_file() or summary.stat().st_mtime_ns < newest:
            write_results(asks, records, own, args, model)
    return True


def main() -> None:
    """Sample and filter."""
    args, shards, engine_args = parse((FilterArguments, ShardArguments, EngineArguments))
    if args.restart and shards.shard_index is not None:
        raise UserError("--restart throws away what all shards have; use it without --shard_index.")
    model = engine_args.model_name_or_path
    check_model(model)
    rows = load_rows(args.dataset_name, args.split, SAMPLING_COLUMNS)
    if args.max_rows is not None:
        rows = rows.select(range(min(args.max_rows, len(rows))))
    own = own_banks(rows, args.neutral_share, args.seed)
    prompts = load_prompts(args.prompts_file)
    asks = make_asks(rows, own, args.measure == BOTH, prompts, args.seed)
    config = resolved_config(args, shards, engine_args)
    open_run(args.output_dir, config, rows, may_change=("num_shards", "shard_index"))
    n_engines = n_processes(shards.num_shards, engine_args.tensor_parallel_size)
    if shards.shard_index is not None or n_engines == 1:
        sample_shard(asks, args, shards, engine_args)
    elif merged(Path(args.output_dir) / "shards", asks) is None:
        logs = Path(args.output_dir) / "logs"
        command = own_command("recipes.filter")
        run_shards(command, n_engines, engine_args.tensor_parallel_size, logs)
    if not merge(asks, own, args, model):
        print("other shards are still to come; the last one writes the results")


if __name__ == "__main__":
    run_cli(main)
