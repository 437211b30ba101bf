"""The embedded set: splits by photograph, formats that tell nothing, true explanations."""

import csv
import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GroupKFold, cross_val_predict

from data_prep import embedded
from data_prep.image_statistics import LEVELS, PHRASES, describe, levels, measure

ROWS = {split: embedded.read_images(split) for split in embedded.SPLITS}
ALL_ROWS = [row for rows in ROWS.values() for row in rows]


def test_set_has_the_promised_size():
    labels = Counter(row["label"] for row in ALL_ROWS)
    assert len(ALL_ROWS) >= 1500
    assert labels["real"] == labels["fake"]
    assert len({row["photograph"] for row in ALL_ROWS}) >= 30
    assert len({row["photograph"] for row in ROWS["test"]}) >= 10
    size = sum((embedded.EMBEDDED_DIR / f"{s}.parquet").stat().st_size for s in embedded.SPLITS)
    assert size <= 15e6


def test_fakes_are_subtle_and_obvious_in_every_split():
    for rows in ROWS.values():
        counts = Counter(row["category"] for row in rows if row["label"] == "fake")
        assert set(counts) == {"subtle", "obvious"}
        assert abs(counts["subtle"] - counts["obvious"]) <= 0.1 * sum(counts.values())


def test_no_photograph_crosses_the_splits():
    photographs = {split: {row["photograph"] for row in rows} for split, rows in ROWS.items()}
    assert not photographs["train"] & photographs["validation"]
    assert not photographs["train"] & photographs["test"]
    assert not photographs["validation"] & photographs["test"]


def test_no_image_is_there_twice():
    assert len({row["id"] for row in ALL_ROWS}) == len(ALL_ROWS)
    assert len({row["image"]["bytes"] for row in ALL_ROWS}) == len(ALL_ROWS)


def test_every_photograph_has_author_and_licence():
    with (embedded.EMBEDDED_DIR / "photographs.csv").open(newline="", encoding="utf-8") as file:
        table = {row["photograph"]: row for row in csv.DictReader(file)}
    for split, rows in ROWS.items():
        for photograph in {row["photograph"] for row in rows}:
            assert table[photograph]["split"] == split
            assert table[photograph]["author"]
            assert table[photograph]["licence"]


def file_features(row):
    image = Image.open(io.BytesIO(row["image"]["bytes"]))
    assert isinstance(image, JpegImageFile)
    tables = sum(sum(table) for table in image.quantization.values())
    mode = len(image.getbands())
    return [image.width, image.height, mode, tables, len(row["image"]["bytes"])]


def test_format_size_mode_and_byte_length_do_not_predict_the_label():
    features = np.array([file_features(row) for row in ALL_ROWS], dtype=float)
    fake = np.array([row["label"] == "fake" for row in ALL_ROWS])
    photograph = [row["photograph"] for row in ALL_ROWS]
    forest = RandomForestClassifier(n_estimators=50, random_state=0)
    predicted = cross_val_predict(forest, features, fake, groups=photograph, cv=GroupKFold(6))
    assert abs(np.mean(predicted == fake) - 0.5) <= 0.03


def test_the_check_above_would_see_a_leak():
    """Byte length without the padding does tell the label: the padding is what hides it."""
    lengths = np.array([[len(row["image"]["bytes"].replace(b"\0", b""))] for row in ALL_ROWS])
    fake = np.array([row["label"] == "fake" for row in ALL_ROWS])
    photograph = [row["photograph"] for row in ALL_ROWS]
    forest = RandomForestClassifier(n_estimators=50, min_samples_leaf=10, random_state=0)
    predicted = cross_val_predict(forest, lengths, fake, groups=photograph, cv=GroupKFold(6))
    assert np.mean(predicted == fake) > 0.55


def test_pixels_of_grey_photographs_stay_grey():
    greys = [row for row in ROWS["test"] if row["photograph"] == "gravel"]
    assert greys
    for row in greys:
        assert np.ptp(np.asarray(embedded.decode(row)), axis=2).max() == 0


def test_explanations_are_true_of_their_image_and_blind_to_the_label():
    ranges = embedded.photograph_ranges()
    row = ROWS["test"][0]
    measured = measure(embedded.decode(row))
    text = embedded.reasoning_of(row, ranges)
    assert text == embedded.reasoning_of({**row, "label": "unknown", "category": "?"}, ranges)
    sentences = [s.strip().lower() for s in text.split(".") if s.strip()]
    for sentence, name in zip(sentences, PHRASES, strict=True):
        low, high = ranges[name]
        level = "low" if measured[name] <= low else "high" if measured[name] > high else "usual"
        assert sentence == PHRASES[name][LEVELS.index(level)]


def test_statistics_say_what_they_mean():
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (112, 112, 3), dtype=np.uint8))
    blurred = noise.resize((14, 14)).resize((112, 112), Image.Resampling.BICUBIC)
    sharp, soft = measure(noise), measure(blurred)
    for name in ("detail", "grain", "edges", "colour"):
        assert sharp[name] > soft[name], name


@pytest.mark.parametrize("level", LEVELS)
def test_describe_names_every_statistic(level):
    text = describe({name: level for name in PHRASES})  # noqa: C420 (its type is not known)
    assert text.count(".") == len(PHRASES)


def test_levels_split_at_the_quartiles():
    ranges = dict.fromkeys(PHRASES, (1.0, 2.0))
    assert set(levels(dict.fromkeys(PHRASES, 1.0), ranges).values()) == {"low"}
    assert set(levels(dict.fromkeys(PHRASES, 1.5), ranges).values()) == {"usual"}
    assert set(levels(dict.fromkeys(PHRASES, 2.5), ranges).values()) == {"high"}
