"""Evaluation: Table 1 and Figures 5 and 6 of Fake-HR1, and what they leave out.

    make eval CONFIG=demo MODEL=runs/demo/sft       half a minute on 2 cores, no GPU
    make eval MODEL=gpt-4o ARGS="--endpoint https://api.openai.com/v1 --name GPT-4o"
    make eval MODEL=runs/demo/sft ARGS="--modes simple hard auto --forced_modes --robustness"

Writes ``predictions.jsonl`` and what else is asked for (``recipes.eval_plan``), ``skipped.jsonl``,
``usage.json``, ``thumbnails.parquet``, metrics, tables, figures and the report. A run that was
killed goes on where it was. Several GPUs, and Slurm arrays: ``recipes.eval_shards``.
"""

import functools
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from datasets import Dataset

from data_prep.prompts import load_prompts
from recipes.config import parse
from recipes.endpoint import Endpoint, EndpointArguments
from recipes.eval_asks import Ask, AskSettings, answer, finish, missing_rows
from recipes.eval_images import open_rows, write_thumbnails
from recipes.eval_plan import PlanArguments, plan_asks
from recipes.eval_shards import ShardArguments, n_processes, own_command, run_shards
from recipes.eval_usage import write_usage
from recipes.generation import EngineArguments, Generator
from recipes.model_card import add_evaluation
from recipes.plots import plot_token_lengths
from recipes.report import write_report
from recipes.run_folder import open_run, resolved_config
from recipes.vlm import check_model
from rewards.errors import UserError, run_cli
from rewards.records import read_predictions
from rewards.summary import SummarySettings, summarise_folder


@dataclass
class EvalArguments:
    """Data and model, and how the answers are summed up."""

    dataset_name: str = field(metadata={"help": "Data set folder or hub id with the test images."})
    output_dir: str = field(metadata={"help": "Gets predictions, metrics, table and figure."})
    split: str = field(default="test", metadata={"help": "Split to evaluate."})
    name: str | None = field(default=None, metadata={"help": "In tables; none: the model's path."})
    prompts_file: str | None = field(
        default=None, metadata={"help": "System prompt and question banks; none: the paper's."}
    )
    max_completion_length: int = field(default=512, metadata={"help": "In tokens."})
    score_verdicts: bool = field(
        default=True, metadata={"help": "Ask for log-probabilities: gives p_fake."}
    )
    max_rows: int | None = field(default=None, metadata={"help": "First images only; none: all."})
    chunk_rows: int = field(default=256, metadata={"help": "Images asked between two saves."})
    seed: int = field(default=0, metadata={"help": "Decides questions and samples, with the id."})
    n_bootstrap: int = field(default=1000, metadata={"help": "Rounds for the 95 %% intervals."})
    bootstrap_unit: str = field(
        default="id", metadata={"help": "id: draw images; source: draw sources with their images."}
    )
    report: bool = field(default=True, metadata={"help": "Draw figures and write report.html."})
    restart: bool = field(default=False, metadata={"help": "Throw away what output_dir holds."})

    def __post_init__(self) -> None:
        """Refuse sizes that leave nothing to ask."""
        if self.chunk_rows < 1 or (self.max_rows is not None and self.max_rows < 1):
            raise ValueError(
                f"chunk_rows={self.chunk_rows}, max_rows={self.max_rows} must be at least 1."
            )


# How the work is divided, and what is asked besides: free to change when a run goes on.
_DIVIDED = (f.name for cls in (ShardArguments, EndpointArguments) for f in fields(cls))
_BESIDES = ("forced_modes", "robustness", "robustness_variants", "report", "name")
MAY_CHANGE = {*_DIVIDED, *_BESIDES, "n_bootstrap", "bootstrap_unit", "chunk_rows"} - {"endpoint"}


def summarise(
    args: EvalArguments, name: str, model: str | None, rows: Dataset, asks: list[Ask]
) -> None:
    """Write thumbnails, tokens, metrics, tables, figures and the report; print the table.

    The table also goes into the card of a ``model`` that a recipe of ours trained.
    """
    folder = Path(args.output_dir)
    lengths: dict[str, list[int]] = {bank: [] for bank in asks[0].banks}
    answered = set()
    for prediction in read_predictions(folder / asks[0].file):
        lengths[prediction.question_bank].append(prediction.n_completion_tokens)
        answered.add(prediction.id)
    if not (folder / "thumbnails.parquet").is_file():
        places = [place for place, row_id in enumerate(rows["id"]) if row_id in answered]
        write_thumbnails(rows.select(places), folder / "thumbnails.parquet")
    write_usage(folder, asks)
    plot_token_lengths({name: lengths}, folder / "token_lengths.png")
    settings = SummarySettings(
        name=name,
        n_bootstrap=args.n_bootstrap,
        seed=args.seed,
        bootstrap_unit=args.bootstrap_unit,
        required_banks=asks[0].banks,
        max_completion_length=args.max_completion_length,
    )
    summarise_folder(folder, settings)
    table = (folder / "table1.md").read_text(encoding="utf-8")
    print(table)
    if model is not None:
        add_evaluation(model, table, f"{args.dataset_name}, split {args.split}")
    if args.report:
        print(f"report: {write_report(folder)}")


def main() -> None:
    """Ask, then sum up."""
    parsed: Any = parse(
        (EvalArguments, PlanArguments, ShardArguments, EndpointArguments, EngineArguments)
    )
    args, plan_args, shard_args, endpoint_args, engine_args = parsed
    model, by_endpoint = engine_args.model_name_or_path, endpoint_args.endpoint is not None
    is_shard = shard_args.shard_index is not None
    if not by_endpoint:
        check_model(model)
    elif plan_args.forced_modes:
        raise UserError("forced_modes needs the model itself: leave it, or --endpoint, out.")
    if args.restart and is_shard:
        raise UserError("restart would throw the other shards away: leave it, or shard_index, out.")
    prompts = load_prompts(args.prompts_file)
    asks = plan_asks(plan_args, prompts)
    rows = open_rows(args.dataset_name, args.split, args.max_rows)
    folder = Path(args.output_dir)
    open_run(folder, resolved_config(*parsed), rows, MAY_CHANGE)
    missing = {ask.file: sum(len(b) for _, b in missing_rows(rows, folder, ask)) for ask in asks}
    name = args.name or model
    print(f"{len(rows)} images for {name}; questions to ask: {missing}", flush=True)

    @functools.cache
    def generator() -> Any:
        return Endpoint(endpoint_args, model) if by_endpoint else Generator(engine_args, args.seed)

    size = engine_args.tensor_parallel_size
    n_shards = 1 if is_shard or by_endpoint else n_processes(shard_args.num_shards, size)
    if n_shards > 1 and any(missing.values()):
        run_shards(own_command(), n_shards, size, folder / "logs")
    limits = (args.max_completion_length, plan_args.sampling_temperature, args.score_verdicts)
    settings = AskSettings(prompts, *limits, args.chunk_rows, args.seed)
    for ask in asks:
        answer(rows, folder, ask, settings, generator, shard_args.shard())
        if not is_shard:
            finish(rows, folder, ask)
    if not is_shard:
        summarise(args, name, None if by_endpoint else model, rows, asks)


if __name__ == "__main__":
    run_cli(main)
