"""Duplicates are found and counted once, whatever the number of flat images."""

import numpy as np
import pytest
from PIL import Image

from data_prep.audit import groups as grouping
from data_prep.audit.corpus import load_corpus
from data_prep.audit.groups import find_groups
from data_prep.audit.leaks import find_leaks, summarise
from tests.data_prep.audit_sets import Entry, encoded, picture, real_photographs, write_set


def audited(folder, *against, max_distance=4):
    corpus = load_corpus(folder, against, 1)
    return corpus, find_groups(corpus, max_distance, 1)


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    """A training set of photographs, and a test set with copies of some of them."""
    folder = tmp_path_factory.mktemp("leaky")
    photographs = real_photographs(40)
    train = [Entry(f"train-{i}", encoded(p, quality=94), "real") for i, p in enumerate(photographs)]
    train.append(Entry("train-again", train[0].data, "fake"))
    copies = [
        ("exact", train[1].data),
        ("quality", encoded(photographs[2], quality=50)),
        ("half", encoded(photographs[3].resize((56, 56), Image.Resampling.BICUBIC), quality=90)),
    ]
    test = [Entry(f"test-{name}", data, "real") for name, data in copies]
    test += [Entry(f"test-new-{i}", encoded(picture(i)), "fake") for i in range(20)]
    return write_set(folder / "train", {"train": train}), write_set(folder / "test", {"test": test})


def test_copies_in_the_test_set_are_found_and_nothing_else(leaky):
    corpus, groups = audited(*leaky)
    found = {
        (*corpus.names("id", np.array([leak.row, leak.other])), leak.kind)
        for leak in find_leaks(corpus, groups)
    }
    assert found == {
        ("train-1", "test-exact", "exact"),
        ("train-2", "test-quality", "near"),
        ("train-3", "test-half", "near"),
    }


def test_counts_say_how_many_rows_of_a_part_are_in_another(leaky):
    summary = summarise(*audited(*leaky))
    between = {(e["part"], e["other"]): (e["exact"], e["near"]) for e in summary["between_parts"]}
    assert between == {("train/train", "test/test"): (1, 2), ("test/test", "train/train"): (1, 2)}
    assert summary["between_labels"]["exact"]["n_groups"] == 1
    within = summary["within"][0]
    assert within["exact"]["n_surplus_rows"] == 0  # the repeated picture has another label


def test_equal_pixels_in_another_file_format_are_exact(tmp_path):
    image = picture(1)
    entries = [
        Entry("png", encoded(image, "PNG"), "real"),
        Entry("webp", encoded(image, "WEBP", lossless=True, exact=True), "real"),
    ]
    summary = summarise(*audited(write_set(tmp_path / "set", {"train": entries})))
    assert summary["within"][0]["exact"]["n_surplus_rows"] == 1


def test_training_rows_that_a_validation_split_shares_are_leaks(tmp_path):
    shared = encoded(picture(1))
    entries = {
        "train": [Entry("a", shared, "real"), Entry("b", encoded(picture(2)), "fake")],
        "validation": [Entry("v", shared, "real")],
    }
    corpus, groups = audited(write_set(tmp_path / "set", entries))
    assert [corpus.names("id", np.array([leak.row]))[0] for leak in find_leaks(corpus, groups)] == [
        "a"
    ]


def flat_images(n: int) -> list[bytes]:
    """Return black, grey and white frames, no two with equal pixels."""
    return [
        encoded(Image.new("RGB", (40 + i % 50, 40 + i // 50), (i % 256,) * 3), "PNG")
        for i in range(n)
    ]


def test_flat_images_are_no_near_duplicates_and_cost_no_pairs(tmp_path, monkeypatch):
    def refuse(*args):
        raise AssertionError("flat images were compared in pairs")

    entries = [Entry(f"flat-{i}", data, "real") for i, data in enumerate(flat_images(1200))]
    entries.append(Entry("flat-0-again", entries[0].data, "real"))
    folder = write_set(tmp_path / "set", {"train": entries})
    monkeypatch.setattr(grouping, "_compare_small", refuse)
    monkeypatch.setattr(grouping, "_compare_large", refuse)
    corpus, groups = audited(folder)
    assert groups.n_flat > 1000
    within = summarise(corpus, groups)["within"][0]
    assert within["exact"]["n_surplus_rows"] == 1
    assert within["near"]["n_surplus_rows"] == 1  # the same row: near includes exact


def test_a_crowd_of_copies_is_one_group_with_few_edges():
    rng = np.random.default_rng(0)
    base = rng.normal(size=1024)
    crowd = np.clip((base + 0.1 * rng.normal(size=(700, 1024))) * 32, -127, 127).astype(np.int8)
    others = np.clip(rng.normal(size=(300, 1024)) * 32, -127, 127).astype(np.int8)
    prints = np.concatenate([crowd, others])
    edges, n_crowded = grouping._confirmed(
        prints, np.zeros(1000, int), np.array([[0, 0]]), n_values=1
    )
    component = grouping._components(edges, 1000)
    assert (component[:700] == component[0]).all()
    assert len(np.unique(component)) == 301
    assert len(edges) < 5_000  # of 244,650 pairs
    assert n_crowded == 0


def test_collections_that_share_pictures_are_named(tmp_path):
    entries = [
        Entry("fakeclue/train/genimage/fake/1.png", encoded(picture(1)), "fake", "genimage"),
        Entry("fakeclue/train/doc/fake/2.png", encoded(picture(2)), "fake", "doc"),
        Entry("genimage/sdv4/train/ai/1.png", encoded(picture(1)), "fake", "genimage"),
        Entry("genimage/sdv4/train/ai/3.png", encoded(picture(3)), "fake", "genimage"),
    ]
    summary = summarise(*audited(write_set(tmp_path / "set", {"train": entries})))
    assert [(e["origin"], e["other"], e["exact"]) for e in summary["between_collections"]] == [
        ("fakeclue: genimage", "genimage: genimage", 1),
        ("genimage: genimage", "fakeclue: genimage", 1),
    ]
