"""GenImage sampled and made unbiased: balanced, seeded, the same law for both labels."""

import io
import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep.__main__ import run
from data_prep.image_check import BadImage
from data_prep.plan import NOT_DRAWN
from data_prep.row import ROW_SCHEMA
from data_prep.rows import ROW_FEATURES
from data_prep.sampling import share_out
from data_prep.unbiased import OTHER_QUALITY, TOO_SMALL, unbiased_png
from rewards.errors import UserError
from tests.data_prep.test_build import dropped_of, rows_of
from tests.data_prep.trees import (
    encoded,
    fakeclue_entry,
    make_fakeclue,
    make_genimage,
    pixels,
)


def sample(root, out, n, *options):
    common = ["--output_dir", str(out), "--genimage_samples", str(n), "--no-audit"]
    run(["sft", "--genimage", str(root), *common, *options])
    return rows_of(out)


def test_a_sample_is_balanced_by_generator_label_and_content(tmp_path):
    root = make_genimage(tmp_path / "gi", ["sdv4", "adm"], n_images=10)
    rows = sample(root, tmp_path / "out", 16)
    groups = Counter(tuple(row_id.split("/")[1:4:2]) for row_id in rows)
    assert set(groups.values()) == {4}
    assert len(groups) == 4
    contents = Counter(i.split("/")[-1].split("_")[0] for i in rows if "/adm/train/ai/" in i)
    assert contents == {"100": 2, "101": 2}
    reasons = Counter(dropped_of(tmp_path / "out").values())
    assert reasons == {NOT_DRAWN: 24}


def test_a_sample_depends_on_the_seed_and_is_a_part_of_larger_ones(tmp_path):
    root = make_genimage(tmp_path / "gi", ["sdv4"], n_images=20)
    small, large = (set(sample(root, tmp_path / str(n), n)) for n in (10, 20))
    assert small < large
    assert set(sample(root, tmp_path / "again", 10)) == small
    assert set(sample(root, tmp_path / "other", 10, "--seed", "1")) != small


def test_drawn_rows_are_spread_among_those_of_other_sources(tmp_path):
    entries = [fakeclue_entry(f"doc/real/{n}.jpg", 1, "Even print.") for n in range(60)]
    fakeclue = make_fakeclue(tmp_path / "fc", entries=entries)
    root = make_genimage(tmp_path / "gi", ["sdv4"], n_images=60)
    rows = list(sample(root, tmp_path / "out", 60, "--fakeclue", str(fakeclue)))
    first = sum(row_id.startswith("genimage/") for row_id in rows[:60])
    assert 18 <= first <= 42


def test_more_than_there_is_cannot_be_drawn(tmp_path):
    root = make_genimage(tmp_path / "gi", ["sdv4"])
    with pytest.raises(UserError, match="only 4 images"):
        sample(root, tmp_path / "out", 5)


@pytest.mark.parametrize(
    ("n_samples", "counts", "expected"),
    [
        (10, {"a": 100, "b": 100}, {"a": 5, "b": 5}),
        (10, {"a": 2, "b": 100}, {"a": 2, "b": 8}),
        (10, {"a": 2, "b": 3, "c": 100}, {"a": 2, "b": 3, "c": 5}),
        (11, {"a": 9, "b": 9, "c": 9}, {"a": 3, "b": 4, "c": 4}),
        (0, {"a": 9}, {"a": 0}),
    ],
)
def test_every_group_gives_the_same_or_all_it_has(n_samples, counts, expected):
    named = {(name, "real"): n for name, n in counts.items()}
    assert share_out(n_samples, named) == {(name, "real"): n for name, n in expected.items()}


AI, NATURE = "genimage/biggan/train/ai/1_biggan_1.png", "genimage/biggan/train/nature/n1_1.JPEG"


def test_both_labels_end_as_crops_of_one_size_compressed_once_and_alike():
    photograph = pixels(0, 200, 160)
    jpeg = encoded(photograph, quality=96)
    out = {
        "fake": unbiased_png(encoded(photograph, "PNG"), AI, "fake", 0),
        "real": unbiased_png(jpeg, AI, "real", 0),  # the same id: the same crop
    }
    images = {label: Image.open(io.BytesIO(data)) for label, data in out.items()}
    assert {(i.format, i.mode, i.size) for i in images.values()} == {("PNG", "RGB", (128, 128))}
    assert np.array_equal(np.asarray(images["fake"]), np.asarray(images["real"]))
    decoded = np.asarray(Image.open(io.BytesIO(jpeg)))  # no pixel is resampled
    corners = [
        (top, left)
        for top in range(160 - 127)
        for left in range(200 - 127)
        if np.array_equal(decoded[top : top + 128, left : left + 128], np.asarray(images["real"]))
    ]
    assert len(corners) == 1


@pytest.mark.parametrize(
    ("data", "row_id", "label", "reason"),
    [
        (encoded(pixels(0, 200, 160), quality=75), NATURE, "real", OTHER_QUALITY),
        (encoded(pixels(0, 200, 160), "PNG"), NATURE, "real", OTHER_QUALITY),
        (encoded(pixels(0, 200, 160), quality=75), AI, "fake", OTHER_QUALITY),
        (encoded(pixels(0, 200, 120), quality=96), NATURE, "real", TOO_SMALL),
        (encoded(pixels(0, 200, 200), "PNG"), AI.replace("biggan", "adm"), "fake", TOO_SMALL),
    ],
)
def test_what_the_protocol_leaves_out(data, row_id, label, reason):
    with pytest.raises(BadImage, match=reason):
        unbiased_png(data, row_id, label, 0)


def test_an_unbiased_build_measures_the_same_of_both_labels(tmp_path):
    root = make_genimage(tmp_path / "gi", ["biggan", "adm"], n_images=3, size=(260, 300))
    out = tmp_path / "out"
    run(["sft", "--genimage", str(root), "--output_dir", str(out), "--unbiased", "--no-audit"])
    measured = pq.read_table(out / "measurements").to_pylist()
    laws = {
        label: Counter((m["format"], m["width"], m["height"], m["jpeg_quality"]) for m in own)
        for label in ("real", "fake")
        if (own := [m for m in measured if m["label"] == label])
    }
    assert laws["real"] == laws["fake"]
    assert set(laws["real"]) == {("PNG", 128, 128, None), ("PNG", 256, 256, None)}
    assert json.loads((out / "build.json").read_text())["settings"]["unbiased"] is True


def test_the_arrow_schema_of_rows_is_that_of_their_features():
    assert ROW_FEATURES.arrow_schema.equals(ROW_SCHEMA, check_metadata=True)
