"""What the outside of files tells of the label, and what chance does not."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data_prep.audit.auc import folded_auc
from data_prep.audit.biases import ALL_SOURCES, FEATURES, TOGETHER, measure_biases
from data_prep.audit.corpus import load_corpus
from tests.data_prep.audit_sets import (
    Entry,
    alike_jpegs,
    encoded,
    jpegs_and_pngs,
    picture,
    write_set,
)


def biases_of(folder, **options):
    corpus = load_corpus(folder, (), 1)
    group = options.pop("group", np.arange(len(corpus.table)))
    return measure_biases(corpus, group, options.pop("max_rows", 10_000))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    entries = jpegs_and_pngs(60, "biased") + alike_jpegs(60, "clean", seed=3)
    return write_set(tmp_path_factory.mktemp("sets") / "mixed", {"train": entries})


def test_auc_is_scikit_learns_within_one_fold():
    rng = np.random.default_rng(0)
    positive = rng.random(300) < 0.4
    score = np.round(rng.normal(size=300) + positive, 1)  # with ties
    auc = folded_auc(score, positive, np.arange(300), np.zeros(300, int))
    assert auc.value == pytest.approx(roc_auc_score(positive, score))


def test_interval_covers_the_truth_as_often_as_it_says():
    """Clusters of four equal rows: taken as independent, the intervals would be half as wide."""
    rng = np.random.default_rng(1)
    covered = {"clustered": 0, "independent": 0}
    n_rounds = 300
    for _ in range(n_rounds):
        positive = np.repeat(np.arange(50) % 2 == 0, 4)
        score = np.repeat(rng.normal(size=50), 4)
        for name, cluster in (
            ("clustered", np.repeat(np.arange(50), 4)),
            ("independent", np.arange(200)),
        ):
            low, high = folded_auc(score, positive, cluster, np.zeros(200, int)).interval
            covered[name] += low <= 0.5 <= high
    assert 0.90 <= covered["clustered"] / n_rounds <= 0.99
    assert covered["independent"] / n_rounds < 0.80


def test_png_against_jpeg_warns_and_the_clean_source_does_not(mixed):
    table = biases_of(mixed)
    warned = {(b.source, b.feature) for b in table.biases if b.warns}
    assert {("biased", name) for name in ("format", "width", "jpeg_quality", TOGETHER)} <= warned
    assert (ALL_SOURCES, "format") in warned
    assert not [source for source, _ in warned if source == "clean"]
    by_format = {b.source: b.auc.value for b in table.biases if b.feature == "format"}
    assert by_format["biased"] == 1.0
    assert by_format["clean"] == 0.5


def test_a_relation_that_does_not_rise_is_found(tmp_path):
    """Fakes of one size between those of the photographs: no threshold parts them."""
    sizes = {"real": (64, 128), "fake": (96, 96)}
    entries = [
        Entry(f"{label}-{i}", encoded(picture(2 * i + k, sizes[label][i % 2], 80)), label)
        for i in range(40)
        for k, label in enumerate(sizes)
    ]
    table = biases_of(write_set(tmp_path / "set", {"train": entries}))
    assert next(b for b in table.biases if b.feature == "width").auc.value == 1.0


def test_labels_drawn_by_chance_do_not_warn(tmp_path):
    rng = np.random.default_rng(5)
    entries = [
        Entry(f"{i}", encoded(picture(i, *rng.integers(60, 120, 2)), quality=int(q)), label, source)
        for i, (q, label, source) in enumerate(
            zip(
                rng.integers(60, 96, 400),
                rng.choice(["real", "fake"], 400),
                rng.choice(list("abc"), 400),
                strict=True,
            )
        )
    ]
    table = biases_of(write_set(tmp_path / "set", {"train": entries}))
    assert len(table.biases) == 4 * (len(FEATURES) + 1)
    assert not [b for b in table.biases if b.warns]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (lambda: [e for e in alike_jpegs(40) if e.label == "fake"], "fake rows only"),
        (lambda: alike_jpegs(12), "too few rows"),
    ],
    ids=["one-class", "few-rows"],
)
def test_what_cannot_be_computed_is_said(tmp_path, entries, reason):
    table = biases_of(write_set(tmp_path / "set", {"train": entries()}))
    assert not table.biases
    assert reason in table.skipped[ALL_SOURCES]


def test_copies_of_few_pictures_do_not_count_as_rows(mixed):
    group = np.arange(240) % 8
    assert "too few different pictures" in biases_of(mixed, group=group).skipped[ALL_SOURCES]


def test_at_most_max_rows_of_a_source_are_used(mixed):
    assert biases_of(mixed, max_rows=100).n_rows["biased"] == (100, 120)
