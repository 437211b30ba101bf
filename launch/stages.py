"""The stages of the pipeline as commands, with what each reads, writes, and writes last.

Folders follow from the name of the run alone: ``runs/<run>/{sft,filter,grpo,eval/rl}``; data sets
stand in ``data/<configuration>``.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml

from rewards.errors import UserError

CONFIGS = Path("recipes/configs")
STAGES = ("data", "sft", "filter", "grpo", "eval")
TRAINED = ("sft", "grpo")  # on all GPUs of all nodes together
SHARDED = ("filter", "eval")  # each GPU takes a share of the rows
PAPER_DATA = (CONFIGS / "fake_hr1_7b" / "data.yaml", Path("data/fake_hr1"))  # of all sizes of model


@dataclass(frozen=True)
class Stage:
    """One stage of one run.

    Attributes:
        name: One of ``STAGES``.
        command: Python module and arguments.
        folder: What it writes into.
        last_file: What it writes last: there only when the stage is whole.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    last_file: Path

    @property
    def whole(self) -> bool:
        """Whether nothing is left to do."""
        return self.last_file.is_file()

    def option(self, key: str) -> str:
        """Return the value of an option: the command's last, else its YAML's; "" for none."""
        places = [i for i, word in enumerate(self.command) if word == f"--{key}"]
        if places:
            return self.command[places[-1] + 1]
        yaml_file = self.command[self.command.index("--config") + 1]
        value = yaml.safe_load(Path(yaml_file).read_text(encoding="utf-8")).get(key)
        return "" if value is None else str(value)


def make_stage(name: str, config: str, run_dir: Path, arguments: tuple[str, ...] = ()) -> Stage:
    """Return a stage of the run in ``run_dir``.

    Args:
        name: One of ``STAGES``.
        config: Folder of recipes/configs.
        run_dir: Folder of the run.
        arguments: Further options, which go over the configuration.

    Raises:
        UserError: The stage is unknown or the configuration has no file for it.
    """
    if name not in STAGES:
        raise UserError(f"there is no stage {name!r}; expected one of {list(STAGES)}.")
    if name == "data":
        return _data_stage(config, arguments)
    file = CONFIGS / config / f"{name}.yaml"
    if not file.is_file():
        there = sorted(path.parent.name for path in CONFIGS.glob(f"*/{name}.yaml"))
        raise UserError(f"{file} does not exist; configurations with this stage: {there}.")
    folder = run_dir / ("eval/rl" if name == "eval" else name)
    links = {
        "sft": {},
        "filter": {"model_name_or_path": run_dir / "sft"},
        "grpo": {
            "model_name_or_path": run_dir / "sft",
            "dataset_name": run_dir / "filter" / "kept",
        },
        "eval": {"model_name_or_path": run_dir / "grpo"},
    }[name]
    options = {**links, "output_dir": folder}
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    command = (f"recipes.{name}", "--config", str(file), *words, *arguments)
    last_file = folder / ("metrics.json" if name == "eval" else "summary.json")
    return Stage(name, command, folder, last_file)


def _data_stage(config: str, arguments: tuple[str, ...]) -> Stage:
    file, folder = CONFIGS / config / "data.yaml", Path("data") / config
    sft = CONFIGS / config / "sft.yaml"
    if sft.is_file():
        rows = yaml.safe_load(sft.read_text(encoding="utf-8"))["dataset_name"]
        folder = Path(rows).parent
    if not file.is_file() and folder == PAPER_DATA[1]:
        file = PAPER_DATA[0]
    if not file.is_file():
        command = ("data_prep", "demo", "--output_dir", str(folder), *arguments)
        return Stage("data", command, folder, folder / "test" / "README.md")
    sections = yaml.safe_load(file.read_text(encoding="utf-8"))
    # A build is whole or not there, so the first that is missing stands for the rest.
    cards = [Path(section["output_dir"]) / "README.md" for section in sections.values()]
    last_file = next((card for card in cards if not card.is_file()), cards[-1])
    command = ("data_prep", "all", "--config", str(file), *arguments)
    return Stage("data", command, last_file.parent.parent, last_file)
