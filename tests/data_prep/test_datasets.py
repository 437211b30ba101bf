"""What `make data` writes, and what happens with input that cannot serve."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, load_dataset

from data_prep.embedded import demo_datasets
from data_prep.loading import SAMPLING_COLUMNS, load_rows
from data_prep.prompts import DEFAULT_PROMPTS_FILE, load_prompts
from data_prep.rows import ROW_FEATURES
from data_prep.writer import write_datasets
from rewards import accuracy_reward, format_reward, hybrid_reward
from rewards.errors import UserError


@pytest.fixture(scope="module")
def demo_dir(tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("data") / "demo"
    command = [sys.executable, "-m", "data_prep", "demo", "--output_dir", str(output_dir)]
    subprocess.run(command, check=True)
    return output_dir


def rows_without_images(path: Path, split: str) -> list[dict[str, Any]]:
    dataset = load_dataset(str(path), split=split)
    assert isinstance(dataset, Dataset)
    return [dict(row) for row in dataset.remove_columns("images").to_list()]


@pytest.mark.parametrize(("name", "split"), [("sft", "train"), ("rl", "train"), ("test", "test")])
def test_each_data_set_loads_with_its_columns_and_card(demo_dir, name, split):
    dataset = load_dataset(str(demo_dir / name), split=split)
    assert dataset.features == ROW_FEATURES
    assert dataset[0]["images"][0].size == (112, 112)
    card = (demo_dir / name / "README.md").read_text()
    assert f"{split}: {len(dataset)} rows" in card
    assert "python -m data_prep demo" in card


@pytest.mark.parametrize(("name", "split"), [("sft", "train"), ("rl", "train"), ("test", "test")])
def test_every_gold_completion_earns_every_reward(demo_dir, name, split):
    rows = rows_without_images(demo_dir / name, split)
    completions, label, bank = (
        [row[name] for row in rows] for name in ("completion", "label", "question_bank")
    )
    assert set(accuracy_reward(completions, label=label)) == {1.0}
    assert set(format_reward(completions)) == {1.0}
    assert set(hybrid_reward(completions, question_bank=bank)) == {1.0}


def test_half_of_the_rows_are_direct_and_half_reason(demo_dir):
    rows = rows_without_images(demo_dir / "sft", "train")
    counts = Counter((row["question_bank"], row["label"]) for row in rows)
    for count in counts.values():
        assert 0.2 < count / len(rows) < 0.3  # four cells, about a quarter each
    for row in rows:
        direct = row["completion"][0]["content"] == f"<think></think>{row['label']}"
        assert direct == (row["question_bank"] == "simple")


def test_rl_rows_are_training_images_under_both_banks(demo_dir):
    sft = rows_without_images(demo_dir / "sft", "train")
    rl = rows_without_images(demo_dir / "rl", "train")
    assert {row["id"] for row in rl} < {row["id"] for row in sft}
    assert 0.4 < sum(row["question_bank"] == "hard" for row in rl) / len(rl) < 0.6


def test_question_depends_on_id_and_seed_alone():
    prompts = load_prompts()
    assert prompts.question("hard", "a", 0) == prompts.question("hard", "a", 0)
    drawn = {prompts.question("hard", f"row-{i}", 0) for i in range(500)}
    assert drawn == set(prompts.hard)
    assert any(
        prompts.question("hard", f"row-{i}", 0) != prompts.question("hard", f"row-{i}", 1)
        for i in range(10)
    )


def test_prompts_are_the_papers():
    prompts = load_prompts()
    assert len(prompts.simple) == len(prompts.hard) == 11  # Figures 2 and 3
    assert prompts.system.startswith(
        "You are a helpful assistant for AI-generated image detection."
    )
    assert "<think>\n\n</think>" in prompts.system


def test_data_does_not_change_from_run_to_run():
    first, second = (demo_datasets(load_prompts(), seed=3)["rl"]["train"] for _ in range(2))
    assert first["question"] == second["question"]
    assert first["completion"] == second["completion"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("system: a\nsimple: [b]\n", "keys"),
        ("system: a\nsimple: [b]\nhard: []\n", "at least one question"),
        ("system: a\nsimple: [b, b]\nhard: [c]\n", "twice"),
        ("system: [\n", "YAML"),
    ],
    ids=["missing-bank", "empty-bank", "double-question", "not-yaml"],
)
def test_bad_prompts_file(tmp_path, content, message):
    path = tmp_path / "prompts.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        load_prompts(path)


def test_missing_prompts_file(tmp_path):
    with pytest.raises(UserError, match=DEFAULT_PROMPTS_FILE.name):
        load_prompts(tmp_path / "none.yaml")


def tiny_dataset(**changes):
    row = {"id": "a", "images": [], "prompt": [], "label": "real", "question_bank": "simple"}
    row.update(changes)
    return Dataset.from_list([{k: v for k, v in row.items() if v is not None}])


def write_tiny(path, dataset):
    write_datasets({"train": dataset}, path, title="t", description="d", command="c")
    return path


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_rows(tmp_path / "nothing", "train")


@pytest.mark.parametrize("column", ["label", "question_bank"])
def test_missing_column_is_named(tmp_path, column):
    path = write_tiny(tmp_path / "set", tiny_dataset(**{column: None}))
    with pytest.raises(UserError, match=f"lacks the columns .*{column}"):
        load_rows(path, "train", SAMPLING_COLUMNS)


@pytest.mark.parametrize(
    "changes", [{"label": "1"}, {"question_bank": "medium"}], ids=["label", "bank"]
)
def test_unknown_value_is_named(tmp_path, changes):
    path = write_tiny(tmp_path / "set", tiny_dataset(**changes))
    with pytest.raises(UserError, match=next(iter(changes.values()))):
        load_rows(path, "train", SAMPLING_COLUMNS)


def test_missing_split_is_named(tmp_path):
    path = write_tiny(tmp_path / "set", tiny_dataset())
    with pytest.raises(UserError, match="no split 'test'"):
        load_rows(path, "test", SAMPLING_COLUMNS)


def test_writing_replaces_the_old_set_and_leaves_nothing_beside_it(tmp_path):
    write_tiny(tmp_path / "set", tiny_dataset(id="old"))
    write_tiny(tmp_path / "set", tiny_dataset(id="new"))
    assert load_rows(tmp_path / "set", "train", SAMPLING_COLUMNS)["id"][:] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_a_set_that_is_built_again_is_not_answered_from_the_old_cache(tmp_path):
    for n, name in enumerate(("a", "b")):
        path = write_tiny(tmp_path / str(n) / "set", tiny_dataset(id=name))
        assert load_dataset(str(path), split="train")["id"][:] == [name]


def test_failed_write_keeps_the_old_set(tmp_path, monkeypatch):
    write_tiny(tmp_path / "set", tiny_dataset(id="old"))
    monkeypatch.setattr("data_prep.writer.dataset_card", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_tiny(tmp_path / "set", tiny_dataset(id="new"))
    assert load_rows(tmp_path / "set", "train", SAMPLING_COLUMNS)["id"][:] == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["set"]
