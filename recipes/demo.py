"""The whole pipeline on the embedded image set: data, SFT, filter, GRPO, evaluations, table.

    make demo                                       about 20 minutes on 2 cores, no GPU
    make demo ARGS="--seed 1"                       another seed, in runs/demo-seed1
    make demo CONFIG=smoke                          a few steps of each stage, about 4 minutes

Each stage is the command line that a user types. Stages that are complete and whose command,
configuration and inputs are unchanged are passed over; one that was cut off goes on.
"""

import argparse
import os
import sys
from pathlib import Path

import torch

from recipes.demo_report import METHODS, write_report
from recipes.stages import Stage, StageRunner
from rewards.errors import UserError, run_cli

ROOT = Path(__file__).parent.parent
CONFIGS = Path("recipes/configs")
BASE_MODEL = CONFIGS / "demo" / "base_model"
DATA_INPUTS = (Path("data_prep/embedded"), Path("data_prep/prompts.yaml"))


def stages(config: str, seed: int, base_model: Path, data: Path, run: Path) -> list[Stage]:
    """Return the stages in order: those of ``config``, reading ``data``, writing ``run``."""
    python = (sys.executable, "-m")
    machine = "single_gpu" if torch.cuda.is_available() else "cpu"
    accelerate = f"launch/accelerate/{machine}.yaml"
    launch = (*python, "accelerate.commands.launch", "--quiet", "--config_file", accelerate, "-m")
    models = {"base": base_model, "sft": run / "sft", "rl": run / "grpo"}

    def stage(
        name: str,
        recipe: str,
        needs: tuple[str, ...],
        last_file: Path,
        /,
        **options: Path | str | int,
    ) -> Stage:
        yaml = CONFIGS / config / f"{recipe}.yaml"
        start = launch if recipe in ("sft", "grpo") else python
        words = [w for key, value in options.items() for w in (f"--{key}", str(value))]
        command = (*start, f"recipes.{recipe}", "--config", str(yaml), *words)
        inputs = (yaml, base_model) if options["model_name_or_path"] == base_model else (yaml,)
        return Stage(name, command, inputs, needs, last_file)

    def evaluation(name: str, needs: tuple[str, ...]) -> Stage:
        folder = run / "eval" / name
        return stage(
            f"eval-{name}",
            "eval",
            needs,
            folder / "metrics.json",
            model_name_or_path=models[name],
            dataset_name=data / "test",
            output_dir=folder,
            name=METHODS[name],
        )

    write_data = (*python, "data_prep", "demo", "--output_dir", str(data))
    return [
        Stage("data", write_data, DATA_INPUTS, (), data / "test" / "README.md", restart=()),
        evaluation("base", ("data",)),
        stage(
            "sft",
            "sft",
            ("data",),
            run / "sft" / "summary.json",
            model_name_or_path=base_model,
            dataset_name=data / "sft",
            output_dir=run / "sft",
            seed=seed,
        ),
        evaluation("sft", ("data", "sft")),
        stage(
            "filter",
            "filter",
            ("data", "sft"),
            run / "filter" / "summary.json",
            model_name_or_path=models["sft"],
            dataset_name=data / "rl",
            output_dir=run / "filter",
            seed=seed,
        ),
        stage(
            "grpo",
            "grpo",
            ("sft", "filter"),
            run / "grpo" / "summary.json",
            model_name_or_path=models["sft"],
            dataset_name=run / "filter" / "kept",
            output_dir=run / "grpo",
            seed=seed,
        ),
        evaluation("rl", ("data", "grpo")),
        # The RL set again, by the policy that RL ended with: did the mean reward rise?
        stage(
            "rewards-rl",
            "filter",
            ("data", "grpo"),
            run / "rewards-rl" / "summary.json",
            model_name_or_path=models["rl"],
            dataset_name=data / "rl",
            output_dir=run / "rewards-rl",
            seed=seed,
        ),
    ]


def parse_arguments() -> argparse.Namespace:
    """Read the command line and fill in the folders."""
    parser = argparse.ArgumentParser(prog="python -m recipes.demo", description=__doc__)
    parser.add_argument("--config_name", default="demo", help="folder of recipes/configs")
    parser.add_argument("--seed", type=int, default=0, help="of SFT, filter and GRPO")
    parser.add_argument("--base_model", type=Path, default=BASE_MODEL, help="what SFT starts from")
    parser.add_argument("--run_dir", type=Path, help="default: runs/<config>, -seed<S> if not 0")
    parser.add_argument("--data_dir", type=Path, help="default: data/<config>")
    args = parser.parse_args()
    if not (ROOT / CONFIGS / args.config_name / "grpo.yaml").is_file():
        there = sorted(path.parent.name for path in (ROOT / CONFIGS).glob("*/grpo.yaml"))
        raise UserError(f"there is no configuration {args.config_name!r}; expected one of {there}.")
    suffix = f"-seed{args.seed}" if args.seed else ""
    args.run_dir = args.run_dir or Path("runs") / f"{args.config_name}{suffix}"
    args.data_dir = args.data_dir or Path("data") / args.config_name
    return args


def main() -> None:
    """Print the plan, run it, report."""
    args = parse_arguments()
    os.chdir(ROOT)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    plan = stages(args.config_name, args.seed, args.base_model, args.data_dir, args.run_dir)
    runner = StageRunner(args.run_dir, plan)
    print(f"Stages of {args.config_name}, seed {args.seed}, in {args.run_dir}:")
    for stage in plan:
        seconds = runner.records.get(stage.name, {}).get("seconds")
        took = f", took {seconds:.0f} s" if seconds else ""
        print(f"  {stage.name:10} {runner.state(stage)}{took}")
    for stage in plan:
        runner.run(stage)
    write_report(args.run_dir, args.data_dir, args.seed)


if __name__ == "__main__":
    run_cli(main)
