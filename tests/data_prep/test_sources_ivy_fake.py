"""Ivy-Fake: images among videos, some of them from sets a model is trained on."""

import pytest

from data_prep.sources.ivy_fake import read_ivy_fake
from data_prep.sources.paths import OUTSIDE
from rewards.errors import UserError
from tests.data_prep.source_trees import items, labels, reasons, write_images, write_jsonl


def entry(path, label="fake", **changes):
    return {
        "id": path,
        "label": label,
        "type": "image",
        "file_path": f"media/image/test/{path}",
        "raw_dataset": "MadeUp",
        "category": "animal",
        "think": "<think>The fur is smooth.</think>",
        "conclusion": label,
    } | changes


@pytest.fixture
def ivy(tmp_path):
    def write(*entries, name="clean_data/test.jsonl"):
        write_images(tmp_path, *(e["file_path"] for e in entries if e.get("type") == "image"))
        write_jsonl(tmp_path / name, entries)
        return tmp_path

    return write


def test_images_are_given_with_what_the_set_tells(ivy):
    root = ivy(entry("a.jpg"), entry("b.jpg", " Real "))
    fake, real = items(read_ivy_fake(root, "test")).values()
    assert (fake.id, fake.label) == ("ivy_fake/media/image/test/a.jpg", "fake")
    assert (fake.source, fake.generator, fake.category) == ("MadeUp", "unknown", "animal")
    assert fake.reasoning == "The fur is smooth."
    assert fake.path.read_bytes()
    assert (real.label, real.generator) == ("real", "camera")


def test_keys_that_are_not_needed_may_be_missing(ivy):
    bare = {key: value for key, value in entry("a.jpg").items() if key in {"label", "type"}}
    root = ivy(bare | {"file_path": "media/a.jpg"})
    (item,) = items(read_ivy_fake(root, "test")).values()
    assert (item.source, item.category, item.reasoning) == ("ivy_fake", "unknown", "")


@pytest.mark.parametrize(
    ("path", "raw_dataset", "source"),
    [
        ("FakeClue/chameleon/fake/x.jpg", "MadeUp", "fakeclue/chameleon"),
        ("FakeClue/doc/fake/x.jpg", None, "fakeclue"),
        ("x.jpg", "FakeClue", "fakeclue"),
        ("x.jpg", "fakeclue_genimage", "fakeclue/genimage"),
        ("GenImage/x.jpg", "", "genimage"),
        ("reptiles/panther_chameleon/x.jpg", "MadeUp", "MadeUp"),
    ],
)
def test_images_of_training_sets_are_tagged_or_dropped(ivy, path, raw_dataset, source):
    root = ivy(entry(path, raw_dataset=raw_dataset), entry("other.jpg"))
    assert [item.source for item in items(read_ivy_fake(root, "test")).values()] == [
        source,
        "MadeUp",
    ]
    entries = list(read_ivy_fake(root, "test", drop_leaks=True))
    assert len(labels(entries)) == (2 if source == "MadeUp" else 1)
    assert set(reasons(entries).values()) <= {"an image of FakeClue, Chameleon or GenImage"}


def test_videos_repeated_and_outside_paths_are_listed(ivy):
    root = ivy(entry("a.jpg"), entry("v.mp4", type="video"), entry("a.jpg", "real"))
    lines = [entry(0, file_path="../x.jpg"), entry(0, file_path="/x.jpg")]
    with (root / "clean_data" / "test.jsonl").open("a") as file:
        file.write("\n")
    more = write_jsonl(root / "more.jsonl", lines).read_text()
    with (root / "clean_data" / "test.jsonl").open("a") as file:
        file.write(more)
    entries = list(read_ivy_fake(root, "test"))
    assert list(labels(entries).values()) == ["fake"]
    assert reasons(entries) == {
        "media/image/test/v.mp4": "a video",
        "media/image/test/a.jpg": "listed before in the same file",
        "../x.jpg": OUTSIDE,
        "/x.jpg": OUTSIDE,
    }


def test_the_split_or_the_user_names_the_annotations(ivy):
    root = ivy(entry("a.jpg"), name="clean_data/train.jsonl")
    assert labels(read_ivy_fake(root, "train"))
    with pytest.raises(UserError, match=r"no clean_data/test\.jsonl .*train\.jsonl"):
        list(read_ivy_fake(root, "test"))
    annotations = root / "clean_data" / "train.jsonl"
    assert labels(read_ivy_fake(root, "test", annotations=annotations))
    with pytest.raises(UserError, match="does not exist"):
        list(read_ivy_fake(root, "test", annotations=root / "none.jsonl"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1 is no JSON"),
        ("[]", "line 1: found list, expected the keys"),
        ('{"label": "fake", "type": "image"}', r"line 1: found \['label', 'type'\], expected"),
        ('{"label": "1", "type": "image", "file_path": "a"}', "unknown label '1'"),
        ('{"label": 1, "type": "image", "file_path": "a"}', "unknown label 1"),
        ('{"label": "fake", "type": "audio", "file_path": "a"}', "unknown type 'audio'"),
        ('{"label": "fake", "type": "image", "file_path": ""}', "expected a path"),
    ],
)
def test_a_line_of_another_form_is_an_error(ivy, line, message):
    root = ivy()
    (root / "clean_data" / "test.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=message):
        list(read_ivy_fake(root, "test"))


def test_archives_that_are_not_unpacked_are_named(tmp_path):
    write_jsonl(tmp_path / "clean_data" / "test.jsonl", [entry("a.jpg")])
    (tmp_path / "media" / "image").mkdir(parents=True)
    (tmp_path / "media" / "image" / "image_test.7z.001").write_bytes(b"7z")
    with pytest.raises(UserError, match=r"run `7z x image_test\.7z\.001`"):
        list(read_ivy_fake(tmp_path, "test"))
