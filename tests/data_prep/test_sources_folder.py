"""Trees whose folders name the class, and Chameleon, which is one."""

import os
from pathlib import Path

import pytest

from data_prep.sources.chameleon import read_chameleon
from data_prep.sources.folder import folder_label, read_folder
from data_prep.sources.label_map import parse_label_map
from data_prep.sources.paths import NOT_AN_IMAGE
from rewards.errors import UserError
from tests.data_prep.source_trees import items, labels, reasons, write_images


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("real", "real"),
        ("0_real", "real"),
        ("1_real", "real"),  # the word decides, not the number
        ("REAL", "real"),
        ("nature", "real"),
        ("fake", "fake"),
        ("1_fake", "fake"),
        ("Fake", "fake"),
        ("ai", "fake"),
        ("AI-generated", "fake"),
        ("AI Generated", "fake"),
        ("0", None),
        ("unreal", None),
        ("real_faces", None),
        ("fakes", None),
        ("train", None),
    ],
)
def test_a_folder_gives_a_label_by_its_whole_name(folder, label):
    assert folder_label(folder) == label


@pytest.fixture
def root(tmp_path):
    return tmp_path / "mine"


def test_images_of_any_depth_and_case_are_found(root):
    write_images(
        root, "real/a.jpg", "Fake/deep/er/b.PNG", "progan/car/0_real/c.png", "val/ai/d.JPEG"
    )
    assert labels(read_folder(root, "test")) == {
        "folder/mine/real/a.jpg": "real",
        "folder/mine/Fake/deep/er/b.PNG": "fake",
        "folder/mine/progan/car/0_real/c.png": "real",
        "folder/mine/val/ai/d.JPEG": "fake",
    }


@pytest.mark.parametrize(
    ("path", "source", "generator", "category"),
    [
        ("real/a.jpg", "mine", "camera", "unknown"),
        ("fake/a.jpg", "mine", "unknown", "unknown"),
        ("fake/dog/a.jpg", "mine", "unknown", "dog"),
        ("progan/car/0_real/a.jpg", "progan", "camera", "car"),
        ("progan/car/1_fake/a.jpg", "progan", "progan", "car"),
        ("Midjourney/val/ai/a.jpg", "Midjourney", "Midjourney", "unknown"),
        ("test/fake/a.jpg", "mine", "unknown", "unknown"),
    ],
)
def test_folders_tell_source_generator_and_category(root, path, source, generator, category):
    write_images(root, path)
    (item,) = items(read_folder(root, "test")).values()
    assert (item.source, item.generator, item.category) == (source, generator, category)
    assert item.path.read_bytes()


def test_ids_and_order_do_not_depend_on_the_disk(tmp_path):
    names = [f"{label}/{n}.png" for label in ("fake", "real") for n in (10, 9, 1)]
    first = write_images(tmp_path / "a" / "mine", *names)
    second = write_images(tmp_path / "b" / "mine", *reversed(names))
    ids = [list(items(read_folder(root, "test"))) for root in (first, second)]
    assert ids[0] == ids[1] == sorted(ids[0])


def test_what_is_no_labelled_image_is_listed_with_the_reason(root):
    write_images(root, "real/a.jpg", "other/b.jpg", "fake/nature/c.jpg", "d.jpg")
    for name in ("real/notes.txt", "real/._a.jpg", "real/noextension"):
        (root / name).write_bytes(b"x")
    (root / "real" / "gone.jpg").symlink_to(root / "nothing.jpg")
    os.mkfifo(root / "real" / "pipe.jpg")
    assert reasons(read_folder(root, "test")) == {
        "other/b.jpg": "in no class folder",
        "d.jpg": "in no class folder",
        "fake/nature/c.jpg": "two class folders disagree",
        "real/notes.txt": NOT_AN_IMAGE,
        "real/noextension": NOT_AN_IMAGE,
        "real/._a.jpg": "hidden file",
        "real/gone.jpg": "broken link",
        "real/pipe.jpg": "not a regular file",
    }


def test_linked_folders_are_read_and_loops_are_not(tmp_path):
    write_images(tmp_path / "elsewhere", "a.jpg")
    write_images(tmp_path / "mine", "real/b.jpg")
    (tmp_path / "mine" / "fake").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "mine" / "real" / "loop").symlink_to(tmp_path / "mine")
    (tmp_path / "elsewhere" / "self").symlink_to(tmp_path / "elsewhere")
    entries = list(read_folder(tmp_path / "mine", "test"))
    assert labels(entries) == {"folder/mine/fake/a.jpg": "fake", "folder/mine/real/b.jpg": "real"}
    assert reasons(entries) == {
        "fake/self": "link back to a folder above it",
        "real/loop": "link back to a folder above it",
    }


def test_a_name_that_no_data_set_could_hold_is_listed(root):
    write_images(root, "real/ä€.jpg")
    (root / "real" / os.fsdecode(b"\xff.jpg")).write_bytes(b"x")
    write_images(root, os.path.join("fake", os.fsdecode(b"\xfe"), "c.jpg"))
    entries = list(read_folder(root, "test"))
    assert labels(entries) == {"folder/mine/real/ä€.jpg": "real"}
    assert reasons(entries) == {
        "real/\\xff.jpg": "file name is not UTF-8",
        "fake/\\xfe/c.jpg": "file name is not UTF-8",
    }


def as_nobody(function):
    """Call ``function`` without the rights of root, who may read everything."""
    if os.geteuid() != 0:
        return function()
    os.seteuid(65534)
    try:
        return function()
    finally:
        os.seteuid(0)


@pytest.fixture
def open_path(tmp_path):
    """Return a folder that everybody can reach."""
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    (tmp_path / "mine").mkdir(mode=0o755)
    return tmp_path / "mine"


def test_an_unreadable_folder_is_listed_and_the_rest_is_read(open_path):
    write_images(open_path, "real/a.jpg", "fake/closed/b.jpg")
    (open_path / "fake" / "closed").chmod(0)
    entries = as_nobody(lambda: list(read_folder(open_path, "test")))
    (open_path / "fake" / "closed").chmod(0o755)
    assert labels(entries) == {"folder/mine/real/a.jpg": "real"}
    assert reasons(entries) == {"fake/closed": "folder cannot be read (Permission denied)"}


def test_an_unreadable_root_is_an_error(open_path):
    (open_path / "closed").mkdir(0)
    with pytest.raises(UserError, match="cannot be read"):
        as_nobody(lambda: list(read_folder(open_path / "closed", "test")))


def test_a_label_map_takes_the_place_of_the_names(root):
    write_images(root, "0/a.jpg", "1/b.jpg", "real/c.jpg")
    label_map = parse_label_map(["0=fake", "1=real"])
    entries = list(read_folder(root, "test", label_map=label_map))
    assert labels(entries) == {"folder/mine/0/a.jpg": "fake", "folder/mine/1/b.jpg": "real"}
    assert reasons(entries) == {"real/c.jpg": "in no class folder"}


@pytest.mark.parametrize(
    "pairs", [["0"], ["=real"], ["0=1"], ["0=Real"], ["0=real", "0=fake"]], ids=str
)
def test_bad_label_map(pairs):
    with pytest.raises(UserError):
        parse_label_map(pairs)


def missing(tmp_path: Path) -> Path:
    return tmp_path / "missing"


def a_file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("x")
    return tmp_path / "file"


def no_class_folders(tmp_path: Path) -> Path:
    return write_images(tmp_path / "mine", "cats/a.jpg", "dogs/b.jpg")


def empty_class_folders(tmp_path: Path) -> Path:
    for name in ("real", "fake"):
        (tmp_path / "mine" / name).mkdir(parents=True)
    return tmp_path / "mine"


@pytest.mark.parametrize(
    ("make_root", "message"),
    [
        (missing, "found nothing"),
        (a_file, "found a file"),
        (no_class_folders, r"found cats, dogs, expected .*real.*--label_map"),
        (empty_class_folders, "no image lies in a folder that names its class"),
    ],
)
def test_a_wrong_root_is_an_error(tmp_path, make_root, message):
    with pytest.raises(UserError, match=message):
        list(read_folder(make_root(tmp_path), "test"))


@pytest.mark.parametrize("place", ["", "test", "Chameleon", "Chameleon/test"])
def test_chameleon_is_read_with_the_same_ids_wherever_it_was_unpacked(tmp_path, place):
    write_images(tmp_path / place, "0_real/a.jpg", "1_fake/b.png", "1_fake/c.jpg")
    found = items(read_chameleon(tmp_path, "test"))
    assert {name: item.label for name, item in found.items()} == {
        "chameleon/0_real/a.jpg": "real",
        "chameleon/1_fake/b.png": "fake",
        "chameleon/1_fake/c.jpg": "fake",
    }
    assert {(item.source, item.category) for item in found.values()} == {("chameleon", "unknown")}
    assert {item.generator for item in found.values()} == {"camera", "unknown"}


@pytest.mark.parametrize(
    ("paths", "split", "message"),
    [
        (["0_real/a.jpg"], "test", "holds 0_real; expected the folders 0_real and 1_fake"),
        (["real/a.jpg", "fake/b.jpg"], "test", "--folder"),
        (["0_real/a.jpg", "1_fake/b.jpg"], "train", "no split 'train'"),
    ],
    ids=["one-class", "other-layout", "train"],
)
def test_what_is_not_chameleon_is_refused(tmp_path, paths, split, message):
    with pytest.raises(UserError, match=message):
        list(read_chameleon(write_images(tmp_path, *paths), split))
