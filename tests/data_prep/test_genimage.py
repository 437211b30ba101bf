"""GenImage's reader: generators from either folder level, names as they occur, wrong roots."""

import pytest

from data_prep.items import Dropped, Item
from data_prep.sources.genimage import content_class, read_genimage
from data_prep.sources.paths import NOT_AN_IMAGE, generator_in
from rewards.errors import UserError
from tests.data_prep.trees import GENIMAGE_FOLDERS, make_genimage, pixels, save


def items_of(root, split="train"):
    return [r for r in read_genimage(root, split) if isinstance(r, Item)]


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_generator_gives_its_images_with_label_and_name(tmp_path, split):
    make_genimage(tmp_path, GENIMAGE_FOLDERS, split)
    items = items_of(tmp_path, "test" if split == "val" else split)
    assert len(items) == len({item.id for item in items}) == 8 * 2 * 2
    fakes = [item for item in items if item.label == "fake"]
    assert {item.generator for item in fakes} == set(GENIMAGE_FOLDERS)
    for item in items:
        assert item.path.is_file()
        assert (item.label == "fake") == (item.path.parent.name == "ai")
        assert (item.generator == "camera") == (item.label == "real")
        assert item.id.split("/")[2:4] == [split, item.path.parent.name]


def test_upper_case_suffixes_are_read(tmp_path):
    items = items_of(make_genimage(tmp_path, ["adm"]))
    assert {item.path.suffix for item in items} == {".PNG", ".JPEG"}


@pytest.mark.parametrize(
    "folder",
    [
        "stable_diffusion_v_1_4/imagenet_ai_0419_sdv4",
        "imagenet_ai_0419_sdv4",
        "stable_diffusion_v_1_4",
        "Stable Diffusion V1.4",
        "stable_diffusion_v_1_4/unpacked",
        "IMAGENET_AI_0419_SDV4",
    ],
)
def test_generator_is_told_by_either_folder_level(tmp_path, folder):
    items = items_of(make_genimage(tmp_path, ["sdv4"], folders={"sdv4": folder}))
    assert {item.id.split("/")[1] for item in items} == {"sdv4"}


def test_the_folder_of_one_generator_is_a_root_too(tmp_path):
    whole = make_genimage(tmp_path, ["adm", "glide"])
    one = items_of(whole / GENIMAGE_FOLDERS["adm"])
    assert {i.id for i in one} == {i.id for i in items_of(whole) if "/adm/" in i.id}


def test_an_unknown_generator_has_its_folders_name(tmp_path):
    items = items_of(make_genimage(tmp_path, ["new"], folders={"new": "NewGen"}))
    assert {item.generator for item in items} == {"newgen", "camera"}


def test_other_files_are_told_and_hidden_ones_passed_over(tmp_path):
    root = make_genimage(tmp_path, ["adm"])
    folder = root / GENIMAGE_FOLDERS["adm"] / "train" / "ai"
    (folder / "list.txt").write_text("a")
    (folder / ".DS_Store").write_text("a")
    save(folder / "deeper" / "3_adm_4.PNG", pixels(9))
    results = list(read_genimage(root, "train"))
    dropped = [r for r in results if isinstance(r, Dropped)]
    assert [(d.id, d.reason) for d in dropped] == [("genimage/adm/train/ai/list.txt", NOT_AN_IMAGE)]
    assert "genimage/adm/train/ai/deeper/3_adm_4.PNG" in {r.id for r in results}


def test_a_wrong_root_is_named(tmp_path):
    with pytest.raises(UserError, match="not GenImage's root"):
        list(read_genimage(tmp_path, "train"))
    make_genimage(tmp_path, ["adm"], "train")
    with pytest.raises(UserError, match="val/ai"):
        list(read_genimage(tmp_path, "test"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("116_biggan_00107.png", "116"),
        ("208_midjourney_76.png", "208"),
        ("460_adm_74.PNG", "460"),
        ("VQDM_1000_200_08_872_vqdm_00109.png", "872"),
        ("700_sdv5_00100.png", "700"),
        ("n02123045_10001.JPEG", "n02123045"),
        ("ILSVRC2012_val_00000001.JPEG", ""),
    ],
)
def test_content_class_is_read_from_the_name(name, expected):
    assert content_class(f"genimage/x/train/ai/{name}") == expected


@pytest.mark.parametrize("name", ["admin", "photos", "train", "quagliden", "sdv45"])
def test_words_that_only_hold_a_generators_name_are_none(name):
    assert generator_in(name) is None
