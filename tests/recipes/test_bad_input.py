"""Bad input: one paragraph, no traceback, exit status not 0, nothing half-written."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recipes import eval as eval_recipe
from recipes import filter as filter_recipe
from recipes import grpo, sft
from rewards.errors import run_cli
from tests.recipes.conftest import small_rows

CONFIGS = Path(__file__).parents[2] / "recipes" / "configs" / "smoke"
RECIPES = {"sft": sft, "filter": filter_recipe, "grpo": grpo, "eval": eval_recipe}
SPLITS = {"sft": "train", "filter": "train", "grpo": "train", "eval": "test"}


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path) -> Callable[..., str]:
    """Return a function that runs a recipe, checks that it refuses, and returns what it says."""

    def run(recipe: str, config: Path | None = None, **options: object) -> str:
        out = tmp_path / "out"
        words = {"output_dir": out, **options}
        argv = [word for key, value in words.items() for word in (f"--{key}", str(value))]
        yaml = config or CONFIGS / f"{recipe}.yaml"
        monkeypatch.setattr(sys, "argv", [recipe, "--config", str(yaml), *argv])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run_cli(RECIPES[recipe].main)
        captured = capsys.readouterr()
        assert ended.value.code == 2
        # Loading a data set draws progress bars, each line of which starts with a carriage return.
        lines = [line for line in captured.err.split("\n") if line and not line.startswith("\r")]
        assert [line.split(":")[0] for line in lines] == ["error"], "one paragraph"
        assert "Traceback" not in captured.err + captured.out
        assert not out.exists(), "nothing half-written"
        return lines[0]

    return run


ALL = pytest.mark.parametrize("recipe", RECIPES)


@ALL
def test_missing_data_folder(refused, model_folder, tmp_path, recipe: str) -> None:
    folder = tmp_path / "nowhere"
    said = refused(recipe, dataset_name=folder, model_name_or_path=model_folder)
    assert f"{folder} does not exist" in said
    assert "make data" in said


@ALL
def test_missing_model(refused, tmp_path, write_rows, recipe: str) -> None:
    data = write_rows(small_rows(4), SPLITS[recipe])
    said = refused(recipe, dataset_name=data, model_name_or_path=tmp_path / "no-model")
    assert "no-model holds no model" in said


@pytest.mark.parametrize(
    ("recipe", "column"),
    # An evaluation asks both banks and needs no column for it.
    [(recipe, "label") for recipe in RECIPES]
    + [(recipe, "question_bank") for recipe in ("sft", "filter", "grpo")],
)
def test_missing_column(refused, model_folder, write_rows, recipe: str, column: str) -> None:
    data = write_rows(small_rows(4).remove_columns(column), SPLITS[recipe])
    said = refused(recipe, dataset_name=data, model_name_or_path=model_folder)
    assert f"lacks the columns ['{column}']" in said


@ALL
def test_unknown_label(refused, model_folder, write_rows, recipe: str) -> None:
    rows = small_rows(4).map(lambda row: {"label": row["label"].replace("fake", "synthetic")})
    data = write_rows(rows, SPLITS[recipe])
    said = refused(recipe, dataset_name=data, model_name_or_path=model_folder)
    assert "synthetic" in said


@ALL
def test_missing_split(refused, model_folder, write_rows, recipe: str) -> None:
    data = write_rows(small_rows(4), "other")
    said = refused(recipe, dataset_name=data, model_name_or_path=model_folder)
    assert f"no split '{SPLITS[recipe]}'" in said


@ALL
@pytest.mark.parametrize("line", ["lerning_rate: 1.0e-3", "seed: 1"], ids=["unknown", "twice"])
def test_bad_yaml_key(refused, tmp_path, recipe: str, line: str) -> None:
    text = (CONFIGS / f"{recipe}.yaml").read_text(encoding="utf-8")
    config = tmp_path / "changed.yaml"
    config.write_text(f"{text}\n{line}\n", encoding="utf-8")
    said = refused(recipe, config)
    assert line.split(":")[0] in said


@ALL
def test_missing_yaml(refused, tmp_path, recipe: str) -> None:
    assert "does not exist" in refused(recipe, tmp_path / "nowhere.yaml")
