"""Every YAML parses with its recipe's classes, gives its reasons, fits the paper."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from trl import GRPOConfig, ModelConfig, SFTConfig

from recipes.bench_eval import BenchArguments
from recipes.bench_train_arguments import BenchArguments as BenchTrainArguments
from recipes.config import parse, read_yaml
from recipes.demo_base import BaseArguments
from recipes.endpoint import EndpointArguments
from recipes.eval import EvalArguments
from recipes.eval_plan import PlanArguments
from recipes.eval_shards import ShardArguments
from recipes.filter import FilterArguments
from recipes.generation import EngineArguments
from recipes.grpo_arguments import GRPOArguments
from recipes.sft import SFTArguments
from rewards.errors import UserError

CONFIGS = Path(__file__).parents[2] / "recipes" / "configs"
# data.yaml is read by data_prep and has tests there.
FILES = sorted(p for p in CONFIGS.glob("*/*.yaml") if p.name != "data.yaml")
CLASSES = {
    "sft": (SFTArguments, SFTConfig, ModelConfig),
    "filter": (FilterArguments, EngineArguments),
    "grpo": (GRPOArguments, GRPOConfig, ModelConfig),
    "eval": (EvalArguments, PlanArguments, ShardArguments, EndpointArguments, EngineArguments),
    "bench_eval": (BenchArguments, EngineArguments),
    "bench_train": (BenchTrainArguments,),
    "base": (BaseArguments, SFTConfig),
}
# What a run is called and what it reads and writes; everything else needs its reason.
PLAIN_KEYS = {"model_name_or_path", "dataset_name", "output_dir", "run_name", "seed"}
NEEDED = "model_name_or_path: m\ndataset_name: d\noutput_dir: o\n"
SOURCE = re.compile(r"#.*\b(paper|ours|smoke|authors|TRL)\b")
ACCELERATE_FILES = sorted((CONFIGS.parents[1] / "launch" / "accelerate").glob("*.yaml"))
ON_CPU = ("--use_cpu", "true")  # a configuration for GPUs is refused where there is none


def read_with_its_recipe(path: Path, *options: str) -> tuple[Any, ...]:
    takes_use_cpu = any("use_cpu" in cls.__dataclass_fields__ for cls in CLASSES[path.stem])
    options = (*options, *(ON_CPU if takes_use_cpu else ()))
    return parse(CLASSES[path.stem], ["--config", str(path), *options])


def file_id(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def test_there_are_configurations() -> None:
    stages = {"sft", "filter", "grpo", "eval"}
    found = {
        folder: {path.stem for path in FILES if path.parent.name == folder}
        for folder in {path.parent.name for path in FILES}
    }
    whole = ("demo", "smoke", "fake_hr1_7b", "qwen2_5_vl_3b", "lora_7b", "qwen3_vl")
    assert all(stages <= found[folder] for folder in whole)
    assert {"sft", "filter", "eval"} <= found["internvl3_8b"]


@pytest.mark.parametrize("path", FILES, ids=file_id)
def test_configuration_parses_with_its_recipe(path: Path) -> None:
    parsed = read_with_its_recipe(path)
    fields = {key: value for part in parsed for key, value in vars(part).items()}
    for key, value in read_yaml(path).items():
        if isinstance(value, str | int | float | list) and key != "report_to":
            assert fields[key] == value or str(fields[key]) == str(value), key


@pytest.mark.parametrize("path", FILES, ids=file_id)
def test_command_line_goes_over_the_yaml(path: Path) -> None:
    parsed = read_with_its_recipe(path, "--seed", "7")
    assert 7 in [vars(part).get("seed") for part in parsed]


@pytest.mark.parametrize("path", FILES, ids=file_id)
def test_each_value_says_where_it_comes_from(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if "Every value here is ours" in text:
        return
    defaults = {
        field.name: field.default for cls in CLASSES[path.stem] for field in dataclasses.fields(cls)
    }
    silent = [
        key
        for key, value in read_yaml(path).items()
        if key not in PLAIN_KEYS
        and value != defaults[key]
        and not SOURCE.search(next(x for x in text.splitlines() if x.startswith(f"{key}:")))
    ]
    assert not silent


@pytest.mark.parametrize("path", [p for p in FILES if p.stem == "grpo"], ids=file_id)
def test_grpo_is_the_papers_equations(path: Path) -> None:
    config = read_yaml(path)
    assert config["reward_weights"] == [0.8, 0.1, 0.1]  # Eq. 3
    assert config["scale_rewards"] == "group"  # Eq. 2
    assert config["loss_type"] == "dr_grpo"  # Eq. 1 as printed: no 1/length
    assert config["beta"] > 0  # Eq. 1: KL to the SFT policy
    assert config["use_bias_correction_kl"] is False  # Eq. 1: no ratio in the KL
    assert config["vllm_importance_sampling_correction"] is True  # or the ratio is not logged
    assert config["vllm_importance_sampling_mode"].startswith("token_")  # blind to length


@pytest.mark.parametrize("path", [p for p in FILES if p.stem == "sft"], ids=file_id)
def test_sft_never_cuts_image_tokens(path: Path) -> None:
    assert read_yaml(path)["max_length"] is None


@pytest.mark.parametrize("path", [p for p in FILES if p.stem == "filter"], ids=file_id)
def test_filter_takes_the_papers_number_of_samples(path: Path) -> None:
    assert read_yaml(path)["num_generations"] == 5  # Sec. 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("seed: 0\nlerning_rate: 1\n", "lerning_rate", id="unknown key"),
        pytest.param("seed: 0\nseed: 1\n", "twice", id="key twice"),
        pytest.param("seed: [0\n", "not valid YAML", id="not YAML"),
        pytest.param("- seed\n", "expected `key: value`", id="a list"),
        pytest.param("seed: zero\n", "zero", id="not a number"),
    ],
)
def test_bad_yaml_is_a_user_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text if text.startswith("-") else NEEDED + text)
    with pytest.raises(UserError, match=message) as caught:
        parse(CLASSES["eval"], ["--config", str(path)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["--config", "nowhere.yaml"], "nowhere.yaml does not exist", id="no file"),
        pytest.param(["--config"], "needs the path", id="no path"),
        pytest.param([], "dataset_name", id="nothing"),
        pytest.param(["--lerning_rate", "1"], "required", id="unknown option"),
    ],
)
def test_bad_command_line_is_a_user_error(argv: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(CLASSES["eval"], argv)


def test_there_is_an_accelerate_file_for_each_way_to_share_the_work() -> None:
    ways = {}
    for path in ACCELERATE_FILES:
        config: Any = load_config_from_file(str(path))
        ways[path.stem] = (
            config.distributed_type.value,
            config.use_cpu,
            config.fsdp_config.get("fsdp_version"),
            config.deepspeed_config.get("zero_stage"),
        )
    assert ways == {
        "cpu": ("NO", True, None, None),
        "single_gpu": ("NO", False, None, None),
        "multi_gpu": ("MULTI_GPU", False, None, None),
        "fsdp2": ("FSDP", False, 2, None),
        "zero2": ("DEEPSPEED", False, None, 2),
        "zero3": ("DEEPSPEED", False, None, 3),
    }


@pytest.mark.parametrize("path", ACCELERATE_FILES, ids=lambda path: path.stem)
def test_sharded_weights_are_kept_in_float32(path: Path) -> None:
    config: Any = load_config_from_file(str(path))
    sharded = bool(config.fsdp_config or config.deepspeed_config)
    # accelerate makes the float32 copy only where it is told the precision of the computation.
    assert config.mixed_precision == ("bf16" if sharded else "no")
    assert config.num_machines == 1  # the launch scripts say how many
    assert config.num_processes == (1 if config.distributed_type.value == "NO" else -1)


def test_full_size_configuration_is_the_papers() -> None:
    folder = CONFIGS / "fake_hr1_7b"
    sft, rl = (read_yaml(folder / f"{stage}.yaml") for stage in ("sft", "grpo"))
    assert (sft["num_train_epochs"], rl["num_train_epochs"]) == (1, 3)  # Sec. 4.1
    assert sft["learning_rate"] == rl["learning_rate"] == 1e-6
    assert sft["per_device_train_batch_size"] == 1
    assert sft["train_vision"]
    # Sec. 4.1: batch 32, read as prompts a step on 32 GPUs.
    completions = 32 * rl["per_device_train_batch_size"] * rl["gradient_accumulation_steps"]
    assert completions / rl["num_generations"] == 32
    assert 15_712 % 32 == 0  # what that reading rests on: no prompt is left over
