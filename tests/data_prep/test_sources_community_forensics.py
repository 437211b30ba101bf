"""Community Forensics: Parquet shards with the image files in a column."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.sources.community_forensics import read_community_forensics
from rewards.errors import UserError
from tests.data_prep.source_trees import items, labels, reasons
from tests.data_prep.trees import encoded, pixels


def row(n, label, **changes):
    return {
        "image_name": f"{n:08d}.png",
        "format": "PNG",
        "resolution": [8, 6],
        "mode": "RGB",
        "image_data": encoded(pixels(n)),
        "model_name": "MadeUpGAN",
        "nsfw_flag": "False",
        "prompt": "",
        "real_source": "COCO",
        "subset": "Commercial",
        "split": "test",
        "label": label,
        "architecture": "GAN" if label else "real",
    } | changes


def write_shard(root, name, rows, drop=()):
    (root / "data").mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows).drop_columns(list(drop))
    pq.write_table(table, root / "data" / name, row_group_size=2)
    return root


SHARD = "CompEval-00000-of-00002.parquet"


def test_one_is_fake_and_every_row_can_be_found_again(tmp_path):
    write_shard(tmp_path, SHARD, [row(n, label) for n, label in enumerate((1, 0, 1))])
    write_shard(tmp_path, "CompEval-00001-of-00002.parquet", [row(9, 0)])
    found = items(read_community_forensics(tmp_path, "test"))
    assert {name: item.label for name, item in found.items()} == {
        f"community_forensics/{SHARD}#0": "fake",
        f"community_forensics/{SHARD}#1": "real",
        f"community_forensics/{SHARD}#2": "fake",
        "community_forensics/CompEval-00001-of-00002.parquet#0": "real",
    }
    item = found[f"community_forensics/{SHARD}#2"]
    assert item.row is not None and item.column is not None
    assert pq.read_table(item.path)[item.column][item.row].as_py() == encoded(pixels(2))


def test_a_real_image_is_not_of_the_model_it_is_paired_with(tmp_path):
    write_shard(tmp_path, SHARD, [row(0, 1), row(1, 0)])
    fake, real = items(read_community_forensics(tmp_path, "test")).values()
    assert (fake.source, fake.generator, fake.category) == ("coco", "MadeUpGAN", "GAN")
    assert (real.source, real.generator, real.category) == ("coco", "camera", "real")


def test_what_is_not_told_is_unknown(tmp_path):
    rows = [row(0, 1, real_source="N/A", model_name=None, architecture="")]
    write_shard(tmp_path, SHARD, rows)
    write_shard(tmp_path, "CompEval-1.parquet", rows, ["real_source", "model_name", "architecture"])
    for item in items(read_community_forensics(tmp_path, "test")).values():
        assert item.source == "community_forensics"
        assert (item.generator, item.category) == ("unknown", "unknown")


def test_the_split_chooses_the_parts_and_the_user_may(tmp_path):
    for part in ("Systematic", "Manual", "PublicEval"):
        write_shard(tmp_path, f"{part}-00000-of-00001.parquet", [row(0, 1)])

    def parts_read(split, parts=None):
        found = labels(read_community_forensics(tmp_path, split, parts=parts))
        return [name.split("/")[1].split("-")[0] for name in found]

    assert parts_read("test") == ["PublicEval"]
    assert parts_read("train") == ["Manual", "Systematic"]
    assert parts_read("test", ["Manual"]) == ["Manual"]
    with pytest.raises(UserError, match=r"holds the parts \['Manual', 'PublicEval', 'Systematic'"):
        parts_read("test", ["Manual", "Other"])


def test_ids_do_not_depend_on_which_folder_is_named(tmp_path):
    write_shard(tmp_path, SHARD, [row(0, 1)])
    outer, inner = (
        list(items(read_community_forensics(root, "test")))
        for root in (tmp_path, tmp_path / "data")
    )
    assert outer == inner


def test_a_row_without_label_is_listed_and_another_label_is_an_error(tmp_path):
    write_shard(tmp_path, SHARD, [row(0, 1), row(1, None, architecture="GAN")])
    entries = list(read_community_forensics(tmp_path, "test"))
    assert list(labels(entries).values()) == ["fake"]
    assert list(reasons(entries).values()) == ["no label"]
    write_shard(tmp_path, SHARD, [row(0, 1), row(1, 2)])
    with pytest.raises(UserError, match=f"{SHARD}#1: unknown label 2"):
        list(read_community_forensics(tmp_path, "test"))


@pytest.mark.parametrize("column", ["image_data", "label"])
def test_a_missing_column_is_named_beside_those_that_are_there(tmp_path, column):
    write_shard(tmp_path, SHARD, [row(0, 1)], [column])
    with pytest.raises(UserError, match=rf"lacks the columns \['{column}'\]: it has .*model_name"):
        list(read_community_forensics(tmp_path, "test"))


def test_a_broken_shard_is_named(tmp_path):
    write_shard(tmp_path, SHARD, [row(0, 1)])
    shard = tmp_path / "data" / SHARD
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(UserError, match=f"{SHARD} is no whole Parquet file"):
        list(read_community_forensics(tmp_path, "test"))


def test_a_wrong_root_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"no \*\.parquet"):
        list(read_community_forensics(tmp_path, "test"))
    write_shard(tmp_path, "train-00000-of-00186.parquet", [row(0, 1)])
    with pytest.raises(UserError, match=r"parts \['train'\]; expected CompEval or PublicEval"):
        list(read_community_forensics(tmp_path, "test"))
