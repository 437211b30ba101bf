"""FakeClue's reader: driven by the JSON, 1 is real, Chameleon by path, wrong input named."""

import json
import logging
import shutil

import pytest

from data_prep.items import Dropped, Item
from data_prep.sources import fakeclue
from data_prep.sources.fakeclue import read_fakeclue
from rewards.errors import UserError
from tests.data_prep.trees import FAKECLUE_ENTRIES, fakeclue_entry, make_fakeclue


def read(root, split="train", **options):
    results = list(read_fakeclue(root, split, **options))
    items = {r.id: r for r in results if isinstance(r, Item)}
    dropped = {r.id: r.reason for r in results if isinstance(r, Dropped)}
    return items, dropped


@pytest.mark.parametrize("nesting", ["{split}", "{split}/{split}"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_images_are_found_in_either_nesting_with_the_same_ids(tmp_path, nesting, split):
    items, _ = read(make_fakeclue(tmp_path, split, nesting=nesting), split)
    row_id = f"fakeclue/{split}/doc/fake/magazine_ch_2/a.jpg"
    assert items[row_id].path.is_file()
    assert items[row_id].path == tmp_path / nesting.format(split=split) / row_id[10 + len(split) :]


def test_one_is_real_and_zero_is_fake_whatever_folder_and_caption_say(tmp_path):
    entries = [
        fakeclue_entry("doc/fake/a.jpg", 1, "The print is even on every line."),
        fakeclue_entry("doc/real/b.jpg", 0, "The print is uneven."),
    ]
    items, _ = read(make_fakeclue(tmp_path, entries=entries))
    assert [item.label for item in items.values()] == ["real", "fake"]


def test_source_is_the_first_segment_and_category_is_cate(tmp_path):
    items, _ = read(make_fakeclue(tmp_path))
    found = {(item.source, item.category, item.generator) for item in items.values()}
    assert found == {
        ("ff++", "deepfake", "Deepfakes"),
        ("ff++", "deepfake", "camera"),
        ("doc", "doc", "unknown"),
        ("doc", "doc", "camera"),
        ("genimage", "animal", "vqdm"),
        ("satellite", "satellite", "camera"),
    }


def test_chameleon_is_left_out_of_training_by_its_path(tmp_path):
    entries = [*FAKECLUE_ENTRIES, fakeclue_entry("doc/real/chameleon.jpg", 1, "Even print.", "doc")]
    items, dropped = read(make_fakeclue(tmp_path, entries=entries))
    assert [i for i in items if "chameleon" in i] == ["fakeclue/train/doc/real/chameleon.jpg"]
    assert list(dropped.values()) == [fakeclue.CHAMELEON]
    assert "/chameleon/" in next(iter(dropped))


def test_chameleon_stays_in_test_with_its_source(tmp_path):
    items, dropped = read(make_fakeclue(tmp_path, "test"), "test")
    assert len(items) == len(FAKECLUE_ENTRIES)
    assert not dropped
    assert [i.source for i in items.values()].count("chameleon") == 1


def test_files_that_the_json_does_not_name_are_none_of_the_set(tmp_path):
    root = make_fakeclue(tmp_path)
    shutil.copy(root / "train/doc/real/news/b.jpg", root / "train/doc/real/news/more.jpg")
    items, _ = read(root)
    assert not any("more" in row_id for row_id in items)


def test_image_may_be_a_list_of_one(tmp_path):
    entries = [fakeclue_entry(["doc/real/a.jpg"], 1, "Even print.")]
    items, _ = read(make_fakeclue(tmp_path, entries=entries))
    assert list(items) == ["fakeclue/train/doc/real/a.jpg"]


def test_several_images_in_an_entry_are_dropped(tmp_path):
    entries = [fakeclue_entry(["doc/real/a.jpg", "doc/real/b.jpg"], 1, "Even print.")]
    _, dropped = read(make_fakeclue(tmp_path, entries=entries))
    assert list(dropped.values()) == [fakeclue.MANY_IMAGES]


def test_dataset_type_is_optional_and_never_over_the_path(tmp_path):
    entries = [fakeclue_entry("doc/real/a.jpg", 1, "Even print.", dataset_type="genimage")]
    items, _ = read(make_fakeclue(tmp_path, entries=entries))
    assert [item.source for item in items.values()] == ["doc"]


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        ("This is a fake image.", fakeclue.NO_REASONING),
        ("This is a real image. The skin has pores.", fakeclue.CONTRADICTION),
        (
            "This is a fake image. <think>The mouth is blurred at one corner.</think>",
            fakeclue.HAS_TAG,
        ),
    ],
    ids=["nothing-left", "contradiction", "tag"],
)
def test_explanations_that_cannot_teach_are_left_out_of_training_alone(tmp_path, caption, reason):
    entries = [fakeclue_entry("doc/fake/a.jpg", 0, caption), FAKECLUE_ENTRIES[0]]
    for split in ("train", "test"):
        make_fakeclue(tmp_path, split, entries)
    items, dropped = read(tmp_path)
    assert len(items) == 1
    assert dropped == {"fakeclue/train/doc/fake/a.jpg": reason}
    items, dropped = read(tmp_path, "test")
    assert not dropped
    assert items["fakeclue/test/doc/fake/a.jpg"].reasoning == ""


@pytest.mark.parametrize("image", ["../secret.jpg", "doc/../../x.jpg", "/etc/x.jpg", "C:\\x.jpg"])
def test_paths_out_of_the_root_are_dropped(tmp_path, image):
    root = make_fakeclue(tmp_path)
    entries = [*FAKECLUE_ENTRIES, fakeclue_entry(image, 1, "Even print.")]
    (root / "data_json/train.json").write_text(json.dumps(entries))
    _, dropped = read(root)
    assert "the path leaves the root of the data set" in dropped.values()


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = make_fakeclue(tmp_path) / "data_json/train.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read(tmp_path)[0]) == 6


def test_other_counts_than_the_published_are_a_warning(tmp_path, caplog, monkeypatch):
    root = make_fakeclue(tmp_path)
    with caplog.at_level(logging.WARNING):
        read(root)
    assert "entries 7 (not 104,343)" in caplog.text
    assert "chameleon 1 (not 10,155)" in caplog.text
    caplog.clear()
    own = {"entries": 7, "real": 3, "fake": 4, "chameleon": 1}
    monkeypatch.setitem(fakeclue.EXPECTED_COUNTS, "train", own)
    read(root)
    assert caplog.text == ""


def test_expected_counts_agree_with_each_other_and_the_paper():
    train, test = fakeclue.EXPECTED_COUNTS["train"], fakeclue.EXPECTED_COUNTS["test"]
    assert train["real"] + train["fake"] == train["entries"]
    assert test["real"] + test["fake"] == test["entries"]
    assert train["entries"] - train["chameleon"] == 94_188  # Fake-HR1, Sec. 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 2}, "entry 1: label is 2; expected 1 .real. or 0 .fake."),
        ({"label": "fake"}, "label is 'fake'"),
        ({"label": True}, "label is True"),
        ({"label": None}, "label is None"),
        ({"image": 3}, "image is 3"),
        ({"image": []}, r"image is \[\]"),
        ({"conversations": []}, "conversations is"),
        ({"conversations": [{"from": "human", "value": "a"}]}, "conversations is"),
        ({"conversations": "none"}, "conversations is"),
    ],
)
def test_wrong_values_name_entry_and_key(tmp_path, change, message):
    root = make_fakeclue(tmp_path)
    entries = [FAKECLUE_ENTRIES[0], {**FAKECLUE_ENTRIES[1], **change}]
    (root / "data_json/train.json").write_text(json.dumps(entries))
    with pytest.raises(UserError, match=message):
        read(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"img": "a", "label": 1}]', r"entry 0 lacks the keys \['image', 'conversations'\]"),
        ('["a"]', "expected an object"),
        ("[]", "lists no entries"),
        ('{"image": 1}', "lists no entries"),
        ('[{"image": "a", "lab', "not valid JSON"),
        ("", "not valid JSON"),
    ],
)
def test_json_of_another_schema_is_named(tmp_path, content, message):
    root = make_fakeclue(tmp_path)
    (root / "data_json/train.json").write_text(content)
    with pytest.raises(UserError, match=message):
        read(root)


def test_wrong_root_and_zipped_images_are_told(tmp_path):
    with pytest.raises(UserError, match="is not FakeClue's root"):
        read(tmp_path)
    root = make_fakeclue(tmp_path / "set")
    shutil.rmtree(root / "train")
    with pytest.raises(UserError, match="none of the first 7 images"):
        read(root)
    (root / "train.zip").touch()
    with pytest.raises(UserError, match=r"Unzip .*train.zip"):
        read(root)
