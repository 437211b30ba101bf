"""Evaluation as in Table 1 and Figure 5 of Fake-HR1: each image under both banks, greedy.

    make eval CONFIG=demo MODEL=runs/demo/sft       half a minute on 2 cores, no GPU

Writes ``predictions.jsonl``, ``metrics.json``, ``table1.md`` and ``token_lengths.png``. A run that
was killed goes on where it was.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from datasets import Dataset
from tqdm import tqdm

from data_prep.loading import TEST_COLUMNS, load_rows
from data_prep.prompts import Prompts, load_prompts
from recipes.config import parse
from recipes.generation import EngineArguments, Generator, Request
from recipes.partial import append_chunk, read_partial
from recipes.plots import plot_token_lengths
from recipes.run_folder import open_run, resolved_config
from recipes.vlm import check_model
from rewards import QUESTION_BANKS
from rewards.errors import run_cli
from rewards.files import write_json, write_text
from rewards.metrics import compute_metrics, judge
from rewards.records import Prediction, read_predictions
from rewards.table import constant_rows, table1


@dataclass
class EvalArguments:
    """What is asked and how the answers are summed up."""

    dataset_name: str = field(metadata={"help": "Data set folder or hub id with the test images."})
    output_dir: str = field(metadata={"help": "Gets predictions, metrics, table and figure."})
    split: str = field(default="test", metadata={"help": "Split to evaluate."})
    name: str | None = field(
        default=None, metadata={"help": "In the table; none: the model's path."}
    )
    prompts_file: str | None = field(
        default=None, metadata={"help": "System prompt and question banks; none: the paper's."}
    )
    max_completion_length: int = field(default=512, metadata={"help": "In tokens."})
    max_rows: int | None = field(default=None, metadata={"help": "First images only; none: all."})
    chunk_rows: int = field(default=256, metadata={"help": "Images asked between two saves."})
    seed: int = field(default=0, metadata={"help": "Decides the questions, with the image's id."})
    n_bootstrap: int = field(default=1000, metadata={"help": "Rounds for the 95 % intervals."})
    bootstrap_unit: str = field(
        default="id", metadata={"help": "id: draw images; source: draw sources with their images."}
    )
    restart: bool = field(default=False, metadata={"help": "Throw away what output_dir holds."})


def ask(
    rows: Dataset, args: EvalArguments, engine_args: EngineArguments, prompts: Prompts, path: Path
) -> None:
    """Ask every image under both banks, saving after each chunk."""
    n_banks = len(QUESTION_BANKS)
    n_done = len(read_partial(path, n_banks)) // n_banks
    if n_done < len(rows):
        generate = Generator(engine_args, args.seed)
    progress = tqdm(total=len(rows), initial=n_done, desc="images asked")
    for start in range(n_done, len(rows), args.chunk_rows):
        chunk = [rows[i] for i in range(start, min(start + args.chunk_rows, len(rows)))]
        # One image's questions stand side by side, so that they share its cached prefix.
        asked = [(row, bank) for row in chunk for bank in QUESTION_BANKS]
        requests = [
            Request(
                prompts.messages(prompts.question(bank, row["id"], args.seed)), row["images"][0], 0
            )
            for row, bank in asked
        ]
        answers = generate(requests, max_completion_length=args.max_completion_length)
        append_chunk(
            path,
            [
                vars(
                    Prediction(
                        id=row["id"],
                        label=row["label"],
                        question_bank=bank,
                        completion=answer.text,
                        n_completion_tokens=answer.n_tokens,
                        source=row.get("source"),
                        generator=row.get("generator"),
                        category=row.get("category"),
                    )
                )
                for (row, bank), (answer,) in zip(asked, answers, strict=True)
            ],
        )
        progress.update(len(chunk))


def summarise(args: EvalArguments, name: str) -> None:
    """Write metrics, table and figure from ``predictions.jsonl`` and print the table."""
    output_dir = Path(args.output_dir)
    predictions = read_predictions(output_dir / "predictions.jsonl")
    judged = judge(predictions, args.bootstrap_unit)
    metrics = compute_metrics(judged, args.n_bootstrap, args.seed)
    lengths: dict[str, list[int]] = {bank: [] for bank in QUESTION_BANKS}
    for prediction in predictions:
        lengths[prediction.question_bank].append(prediction.n_completion_tokens)
    plot_token_lengths({name: lengths}, output_dir / "token_lengths.png")
    table = table1([(name, metrics), *constant_rows(judged)])
    write_text(output_dir / "table1.md", table)
    # Written last: a folder with metrics is a finished evaluation.
    write_json(output_dir / "metrics.json", metrics)
    print(table)


def main() -> None:
    """Ask, then sum up."""
    args, engine_args = parse((EvalArguments, EngineArguments))
    check_model(engine_args.model_name_or_path)
    prompts = load_prompts(args.prompts_file)
    rows = load_rows(args.dataset_name, args.split, TEST_COLUMNS)
    if args.max_rows is not None:
        rows = rows.select(range(min(args.max_rows, len(rows))))
    output_dir = Path(args.output_dir)
    open_run(output_dir, resolved_config(args, engine_args), rows)
    name = args.name or engine_args.model_name_or_path
    print(f"{len(rows)} images x {len(QUESTION_BANKS)} banks for {name}")
    finished = output_dir / "predictions.jsonl"
    if not finished.is_file():
        partial = output_dir / "predictions.partial.jsonl"
        ask(rows, args, engine_args, prompts, partial)
        os.replace(partial, finished)
    summarise(args, name)


if __name__ == "__main__":
    run_cli(main)
