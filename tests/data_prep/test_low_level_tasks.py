"""The base model's pre-training tasks: reproducible, true, from training photographs alone."""

import csv

import numpy as np
import pytest
from PIL import Image

from data_prep import low_level_tasks as tasks
from data_prep.build_embedded import EMBEDDED_DIR
from data_prep.image_statistics import PHRASES, describe, levels
from rewards import LABELS
from rewards.errors import UserError


@pytest.fixture(scope="module")
def photographs():
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    return [[smooth.resize((320, 240), Image.Resampling.BICUBIC)]]


def test_a_sample_depends_on_seed_and_index_alone(photographs):
    first = tasks.make_sample(photographs, 3, 7)
    again = tasks.make_sample(photographs, 3, 7)
    other = tasks.make_sample(photographs, 3, 8)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.statistics == again.statistics
    assert first.image.tobytes() != other.image.tobytes()


def test_shares_add_up_and_every_operation_is_drawn(photographs):
    assert sum(tasks.SHARES) == pytest.approx(1.0)
    drawn = {tasks.make_sample(photographs, 0, index).operation for index in range(120)}
    assert drawn == set(range(len(tasks.NAMES)))


@pytest.mark.parametrize("name", tasks.NAMES[1:])
def test_operation_changes_the_crop_and_keeps_its_size(photographs, name):
    crop = photographs[0][0].crop((0, 0, 112, 112))
    changed = tasks.OPERATIONS[name][0](crop, 2, np.random.default_rng(0))
    assert changed.size == crop.size
    assert changed.tobytes() != crop.tobytes()


def test_answers_are_true_of_the_sample(photographs):
    ranges = dict.fromkeys(PHRASES, (-1.0, 1.0))
    for index in range(40):
        sample = tasks.make_sample(photographs, 1, index)
        rng = np.random.default_rng(index)
        question, answer = tasks.make_conversation(sample, ranges, rng)
        if tasks.DESCRIBE in question:
            assert describe(levels(sample.statistics, ranges)) in answer
        if tasks.PROCESSED in question:
            assert f"It was {tasks.NAMES[sample.operation]}" in answer
        assert not set(LABELS) & set(answer.lower().replace(".", " ").split())


def test_only_training_photographs_are_read(tmp_path):
    with (EMBEDDED_DIR / "photographs.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["split"] == "train":
            path = tmp_path / row["package"] / row["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (120, 120)).save(path)
    n_train = sum(row["split"] == "train" for row in rows)
    assert len(tasks.load_training_photographs(tmp_path)) == n_train
    path.unlink()
    with pytest.raises(UserError, match="is missing"):
        tasks.load_training_photographs(tmp_path)
