"""Every YAML parses with its recipe's classes, gives its reasons, fits the paper."""

import dataclasses
import re
from pathlib import Path

import pytest
from trl import GRPOConfig, ModelConfig, SFTConfig

from recipes.config import parse, read_yaml
from recipes.demo_base import BaseArguments
from recipes.eval import EvalArguments
from recipes.filter import FilterArguments
from recipes.generation import EngineArguments
from recipes.grpo import GRPOArguments
from recipes.sft import SFTArguments
from rewards.errors import UserError

CONFIGS = Path(__file__).parents[2] / "recipes" / "configs"
# data.yaml is read by data_prep and has tests there.
FILES = sorted(p for p in CONFIGS.glob("*/*.yaml") if p.name != "data.yaml")
CLASSES = {
    "sft": (SFTArguments, SFTConfig, ModelConfig),
    "filter": (FilterArguments, EngineArguments),
    "grpo": (GRPOArguments, GRPOConfig, ModelConfig),
    "eval": (EvalArguments, EngineArguments),
    "base": (BaseArguments, SFTConfig),
}
# What a run is called and what it reads and writes; everything else needs its reason.
PLAIN_KEYS = {"model_name_or_path", "dataset_name", "output_dir", "run_name", "seed"}
NEEDED = "model_name_or_path: m\ndataset_name: d\noutput_dir: o\n"
SOURCE = re.compile(r"#.*\b(paper|ours|smoke)\b")


def file_id(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def test_there_are_configurations() -> None:
    assert {"sft", "filter", "grpo", "eval"} <= {p.stem for p in FILES if p.parent.name == "demo"}
    assert {"sft", "filter", "grpo", "eval"} <= {p.stem for p in FILES if p.parent.name == "smoke"}


@pytest.mark.parametrize("path", FILES, ids=file_id)
def test_configuration_parses_with_its_recipe(path: Path) -> None:
    parsed = parse(CLASSES[path.stem], ["--config", str(path)])
    fields = {key: value for part in parsed for key, value in vars(part).items()}
    for key, value in read_yaml(path).items():
        if isinstance(value, str | int | float | list) and key != "report_to":
            assert fields[key] == value or str(fields[key]) == str(value), key


@pytest.mark.parametrize("path", FILES, ids=file_id)
def test_command_line_goes_over_the_yaml(path: Path) -> None:
    parsed = parse(CLASSES[path.stem], ["--config", str(path), "--seed", "7"])
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
