"""Check a configuration before it costs a GPU hour: no GPU, no weights, one page.

    make check CONFIG=demo
    make check CONFIG=fake_hr1_7b PROCESSES=32 ARGS="--gpu h100"
    make check CONFIG=fake_hr1_7b STAGE=grpo DATA=my/rows MODEL=my/checkpoint

Configuration, data set, chat template, gold answers, tokens, batches, memory, FLOPs, hours. Ends
with status 1 where a run would fail or be spoilt without an error; what those are stands in
``recipes.checks.rules`` and ``recipes.checks.data``.
"""

import shlex
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from recipes.budget.assumptions import Assumptions
from recipes.budget.gpus import Gpu, load_gpu
from recipes.budget.paper import implied_utilisation
from recipes.checks.findings import ERROR, Finding, Findings
from recipes.checks.page import Report, render
from recipes.checks.settings import CONFIGS, STAGES, settings_of, stages_of
from recipes.checks.stage import check_stage, config_folder
from recipes.config import parse
from rewards.errors import UserError, run_cli
from rewards.files import write_json


@dataclass
class CheckArguments:
    """What is checked, on which machine."""

    config_name: str = field(metadata={"help": "Folder under recipes/configs."})
    stage: str = field(default="all", metadata={"help": "sft, filter, grpo, eval, or all."})
    n_processes: int = field(default=1, metadata={"help": "GPUs that the stage will run on."})
    accelerate: str | None = field(
        default=None,
        metadata={"help": "File under launch/accelerate; none: by processes and configuration."},
    )
    model: str | None = field(default=None, metadata={"help": "In the place of the YAML's model."})
    dataset: str | None = field(
        default=None, metadata={"help": "In the place of the YAML's data set."}
    )
    options: str = field(default="", metadata={"help": "Command line that the stage would get."})
    gpu: str = field(default="a100-80", metadata={"help": "Key of recipes/budget/gpus.yaml."})
    utilisation: float = field(
        default=0.35, metadata={"help": "Share of the GPU's bf16 FLOPs that is reached."}
    )
    bandwidth_share: float = field(
        default=0.6, metadata={"help": "Share of the GPU's memory bandwidth that is reached."}
    )
    network_gbs: float = field(
        default=25.0,
        metadata={"help": "10^9 bytes a second out of a node: 25 a 200 Gbit/s port, 8 ports 200."},
    )
    answer_tokens: int = field(
        default=200, metadata={"help": "Of a completion where the data set has no gold answers."}
    )
    max_rows: int | None = field(
        default=None, metadata={"help": "Rows to look at, evenly spread; none: all."}
    )
    max_images: int = field(
        default=5000,
        metadata={"help": "Images whose headers are read where there are no measurements."},
    )
    output_file: str | None = field(default=None, metadata={"help": "Gets the page as JSON."})

    def __post_init__(self) -> None:
        """Refuse what cannot be computed with."""
        if self.stage not in (*STAGES, "all"):
            raise ValueError(f"stage={self.stage!r}: expected one of {[*STAGES, 'all']}.")
        if self.n_processes < 1:
            raise ValueError(f"n_processes={self.n_processes}: expected 1 or more.")
        if not 0 < self.utilisation <= 1 or not 0 < self.bandwidth_share <= 1:
            raise ValueError("utilisation and bandwidth_share must be above 0 and at most 1.")


def check_one(args: CheckArguments, stage: str, gpu: Gpu) -> tuple[Report, list[Finding]]:
    """Return what is known of a stage and what was found."""
    findings = Findings(stage)
    folder = config_folder(args.config_name, CONFIGS)
    assumed = Assumptions(
        args.utilisation, args.bandwidth_share, args.network_gbs * 1e9, args.answer_tokens
    )
    try:
        settings = settings_of(
            folder,
            stage,
            args.n_processes,
            args.accelerate,
            args.model,
            args.dataset,
            shlex.split(args.options),
            findings,
        )
        report = check_stage(settings, gpu, assumed, args.max_rows, args.max_images, findings)
    except UserError as error:
        findings.add(ERROR, str(error))
        report = {"stage": stage}
    return report, findings.items


def main() -> None:
    """Check, print the page, write the JSON."""
    (args,) = parse((CheckArguments,))
    folder = config_folder(args.config_name, CONFIGS)
    stages = stages_of(folder)
    if args.stage != "all":
        if args.stage not in stages:
            raise UserError(f"{folder} has no {args.stage}.yaml; it has {stages}.")
        stages = [args.stage]
    gpu = load_gpu(args.gpu)
    print(f"checking {', '.join(stages)} of {args.config_name}: reads every row once", flush=True)
    checked = [check_one(args, stage, gpu) for stage in stages]
    reports = [report for report, _ in checked]
    findings = [finding for _, found in checked for finding in found]
    timed = any("hours" in report for report in reports)
    paper = implied_utilisation() if timed else None
    title = f"{args.config_name} on {args.n_processes} x {gpu.name}" if timed else args.config_name
    footer = "* Estimates; formulas in recipes/budget/memory.py."
    if timed:
        footer += (
            f" Hours: {100 * args.utilisation:g} % of {gpu.flops / 1e12:g} TFLOPS reached, "
            f"{100 * args.bandwidth_share:g} % of {gpu.bandwidth / 1e9:g} GB/s while writing; "
            "loading, saving, padding and the network are not in them. What is sent: at "
            f"{args.network_gbs:g} GB/s out of a node, beside the computing."
        )
    print(render(title, reports, findings, paper, footer))
    if args.output_file is not None:
        content = {
            "arguments": asdict(args),
            "findings": [asdict(finding) for finding in findings],
            "stages": reports,
            "paper": paper,
        }
        write_json(Path(args.output_file), content)
    if any(finding.level == ERROR for finding in findings):
        sys.exit(1)


if __name__ == "__main__":
    run_cli(main)
