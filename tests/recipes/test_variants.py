"""Controls and variants differ from the demo's GRPO in what they are about, and in nothing else."""

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Features, Value
from trl import GRPOConfig, ModelConfig

from recipes.config import parse, read_yaml
from recipes.filter import FilterArguments
from recipes.generation import EngineArguments
from recipes.grpo_arguments import GRPOArguments, load_training_rows
from rewards.errors import UserError
from tests.recipes.conftest import small_rows

CONFIGS = Path(__file__).parents[2] / "recipes" / "configs"
NAMES = {"output_dir", "run_name"}
DIRECT, REASONED = "<think></think>fake", "<think>Edges are soft.</think>fake"


def grpo(name: str) -> tuple[GRPOArguments, GRPOConfig, ModelConfig]:
    path = CONFIGS / name / "grpo.yaml"
    return parse((GRPOArguments, GRPOConfig, ModelConfig), ["--config", str(path)])


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("controls/no_hybrid_reward", {"reward_weights"}),
        ("controls/always_direct", {"hard_bank"}),
        ("variants/difficulty_aware", {"neutral_bank", "enough_right", "dataset_name"}),
    ],
)
def test_it_differs_only_in_what_it_is_about(name: str, differs: set[str]) -> None:
    demo, own = read_yaml(CONFIGS / "demo" / "grpo.yaml"), read_yaml(CONFIGS / name / "grpo.yaml")
    changed = {key for key in demo.keys() | own.keys() if demo.get(key) != own.get(key)}
    assert changed == differs | NAMES
    assert own["output_dir"] == f"runs/{name}/grpo"
    grpo(name)


def test_the_filter_of_the_variant_differs_in_its_questions() -> None:
    demo = read_yaml(CONFIGS / "demo" / "filter.yaml")
    path = CONFIGS / "variants" / "difficulty_aware" / "filter.yaml"
    parse((FilterArguments, EngineArguments), ["--config", str(path)])
    own = read_yaml(path)
    changed = {key for key in demo.keys() | own.keys() if demo.get(key) != own.get(key)}
    assert changed == {"neutral_share", "output_dir"}


@pytest.mark.parametrize(
    ("name", "bank", "total"),
    [  # of a right direct and a right reasoned answer: 0.8 + 0.1, and 0.1 for the wanted mode
        ("demo", "simple", (1.0, 0.9)),
        ("demo", "hard", (0.9, 1.0)),
        ("controls/no_hybrid_reward", "simple", (0.9, 0.9)),
        ("controls/no_hybrid_reward", "hard", (0.9, 0.9)),
        ("controls/always_direct", "simple", (1.0, 0.9)),
        ("controls/always_direct", "hard", (1.0, 0.9)),
        ("variants/difficulty_aware", "neutral", (0.9, 1.0)),  # right 2 of 5 times
    ],
)
def test_what_it_pays_for(name: str, bank: str, total: tuple[float, float]) -> None:
    args, training_args, _ = grpo(name)
    weights: Any = training_args.reward_weights
    hybrid = args.hybrid_reward()([DIRECT, REASONED], [bank] * 2, pass_rate_simple=[0.4, 0.4])
    paid = [weights[0] + weights[1] + weights[2] * (score or 0.0) for score in hybrid]
    assert paid == pytest.approx(total)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda rows: rows, "has no neutral question", id="no neutral rows"),
        pytest.param(
            lambda rows: with_banks(rows, "neutral"),
            "lacks the column 'pass_rate_simple'",
            id="no column",
        ),
        pytest.param(
            lambda rows: with_rates(with_banks(rows, "neutral")),
            "has neutral rows without a 'pass_rate_simple'",
            id="a gap",
        ),
    ],
)
def test_difficulty_without_pass_rates_is_refused_before_it_starts(
    write_rows, change, message
) -> None:
    data = write_rows(change(small_rows(8)), "train")
    args = GRPOArguments(str(data), neutral_bank="pass_rate")
    with pytest.raises(UserError, match=f"{message}.*--measure both"):
        load_training_rows(args)


def test_pass_rates_may_be_missing_where_no_question_is_neutral(write_rows) -> None:
    rows = with_banks(small_rows(8), "neutral", "simple")
    data = write_rows(with_rates(rows), "train")
    assert len(load_training_rows(GRPOArguments(str(data), neutral_bank="pass_rate"))) == 8


def with_rates(rows: Dataset) -> Dataset:
    columns: dict[str, list] = {name: list(rows[name]) for name in rows.column_names}
    return Dataset.from_dict(
        {**columns, "pass_rate_simple": [0.2, None] * 4},
        features=Features({**rows.features, "pass_rate_simple": Value("float64")}),
    )


def with_banks(rows: Dataset, *banks: str) -> Dataset:
    values = [banks[index % len(banks)] for index in range(len(rows))]
    return rows.remove_columns("question_bank").add_column("question_bank", values)
