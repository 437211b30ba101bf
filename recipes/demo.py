"""The whole pipeline on the embedded image set: data, SFT, filter, GRPO, evaluations, table.

    make demo                                       some 13 minutes on 2 cores, no GPU
    make demo ARGS="--seed 1"                       another seed, in runs/demo-seed1
    make demo CONFIG=smoke                          a few steps of each stage, some 3 minutes

Each stage is the command line that a user types. Stages that are complete and whose command,
configuration and inputs are unchanged are passed over; one that was cut off goes on.
"""

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from recipes.config import read_yaml
from recipes.demo_report import METHODS, write_report
from recipes.stages import Stage, StageRunner
from rewards.errors import UserError, run_cli

ROOT = Path(__file__).parent.parent
CONFIGS = Path("recipes/configs")
DEMO_CONFIGS = ("demo", "smoke")
BASE_MODEL = CONFIGS / "demo" / "base_model"
DATA_INPUTS = (Path("data_prep/embedded"), Path("data_prep/prompts.yaml"))
PYTHON = (sys.executable, "-m")


@dataclass(frozen=True)
class Demo:
    """The stages of one demo.

    Attributes:
        config: Folder of recipes/configs.
        seed: Of SFT, filter and GRPO.
        base_model: What SFT starts from.
        data: Folder of the data sets sft, rl and test.
        run: Folder of all results.
    """

    config: str
    seed: int
    base_model: Path
    data: Path
    run: Path

    def stages(self) -> list[Stage]:
        """Return the stages in the order in which they run."""
        write_data = (*PYTHON, "data_prep", "demo", "--output_dir", str(self.data))
        data_written = self.data / "test" / "README.md"
        sft, rl = self.run / "sft", self.run / "grpo"
        return [
            Stage("data", write_data, DATA_INPUTS, (), data_written, restart=()),
            self._evaluation("base", self.base_model, ("data",)),
            self._training("sft", self.base_model, self.data / "sft", ("data",)),
            self._evaluation("sft", sft, ("data", "sft")),
            self._sampling("filter", sft, ("data", "sft")),
            self._training("grpo", sft, self.run / "filter" / "kept", ("sft", "filter")),
            self._evaluation("rl", rl, ("data", "grpo")),
            # The RL set again, by the policy that RL ended with: did the mean reward rise?
            self._sampling("rewards-rl", rl, ("data", "grpo"), write_kept="false", measure="own"),
        ]

    def _evaluation(self, name: str, model: Path, needs: tuple[str, ...]) -> Stage:
        folder = self.run / "eval" / name
        options = {"dataset_name": self.data / "test", "name": METHODS[name]}
        return self._stage(
            f"eval-{name}", "eval", needs, folder / "metrics.json", model, folder, **options
        )

    def _training(self, recipe: str, model: Path, rows: Path, needs: tuple[str, ...]) -> Stage:
        folder = self.run / recipe
        options: dict[str, Path | str | int] = {"dataset_name": rows, "seed": self.seed}
        if "eval_dataset_name" in read_yaml(CONFIGS / self.config / f"{recipe}.yaml"):
            options["eval_dataset_name"] = self.data / "sft"
        return self._stage(recipe, recipe, needs, folder / "summary.json", model, folder, **options)

    def _sampling(
        self, name: str, model: Path, needs: tuple[str, ...], **options: Path | str | int
    ) -> Stage:
        folder = self.run / name
        options = {"dataset_name": self.data / "rl", "seed": self.seed, **options}
        return self._stage(name, "filter", needs, folder / "summary.json", model, folder, **options)

    def _stage(
        self,
        stage_name: str,
        recipe: str,
        needs: tuple[str, ...],
        last_file: Path,
        model: Path,
        folder: Path,
        **options: Path | str | int,
    ) -> Stage:
        yaml = CONFIGS / self.config / f"{recipe}.yaml"
        options = {"model_name_or_path": model, "output_dir": folder, **options}
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        start = accelerate_launch() if recipe in ("sft", "grpo") else PYTHON
        command = (*start, f"recipes.{recipe}", "--config", str(yaml), *words)
        inputs = (yaml, model) if model == self.base_model else (yaml,)
        return Stage(stage_name, command, inputs, needs, last_file)


def accelerate_launch() -> tuple[str, ...]:
    """Return the command that starts a training recipe: the demo takes one process."""
    machine = "single_gpu" if torch.cuda.is_available() else "cpu"
    file = f"launch/accelerate/{machine}.yaml"
    return (*PYTHON, "accelerate.commands.launch", "--quiet", "--config_file", file, "-m")


def parse_arguments() -> argparse.Namespace:
    """Read the command line and fill in the folders."""
    parser = argparse.ArgumentParser(prog="python -m recipes.demo", description=__doc__)
    parser.add_argument("--config_name", default="demo", help="folder of recipes/configs")
    parser.add_argument("--seed", type=int, default=0, help="of SFT, filter and GRPO")
    parser.add_argument("--base_model", type=Path, default=BASE_MODEL, help="what SFT starts from")
    parser.add_argument("--run_dir", type=Path, help="default: runs/<config>, -seed<S> if not 0")
    parser.add_argument("--data_dir", type=Path, help="default: data/<config>")
    args = parser.parse_args()
    if args.config_name not in DEMO_CONFIGS:
        raise UserError(
            f"there is no configuration {args.config_name!r} of the embedded set; expected one of "
            f"{list(DEMO_CONFIGS)}."
        )
    suffix = f"-seed{args.seed}" if args.seed else ""
    args.run_dir = args.run_dir or Path("runs") / f"{args.config_name}{suffix}"
    args.data_dir = args.data_dir or Path("data") / args.config_name
    return args


def main() -> None:
    """Print the plan, run it, report."""
    args = parse_arguments()
    os.chdir(ROOT)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    demo = Demo(args.config_name, args.seed, args.base_model, args.data_dir, args.run_dir)
    plan = demo.stages()
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
