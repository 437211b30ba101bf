"""Images shrunk once give the processor, bit for bit, what the originals gave it."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset, Features, List
from PIL import Image

from recipes.demo import BASE_MODEL
from recipes.image_sizing import DECODED, decode, presized, seen_size, shrunk, undecoded
from recipes.length_grouping import LengthGroups, measured_sizes, row_lengths
from recipes.vlm import load_processor

SIZES = [(640, 480), (500, 375), (225, 900), (448, 448), (100, 60), (1000, 31)]


@pytest.fixture(scope="module")
def processor():
    return load_processor(str(BASE_MODEL), 784, 200_704)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def stored(image: Image.Image, kind: str = "JPEG") -> dict:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return {"bytes": buffer.getvalue(), "path": f"a.{kind}"}


def rows_of(images: list[dict]) -> Dataset:
    turn = [{"role": "user", "content": "?" * 40}]
    rows = [{"images": [image], "prompt": turn, "completion": turn} for image in images]
    plain = Dataset.from_list(rows)
    return plain.cast(Features({**plain.features, "images": List(DECODED)}))


@pytest.mark.parametrize("size", SIZES)
def test_a_shrunk_image_is_processed_to_the_same_values(processor, size):
    image = noise(*size)
    small = shrunk(image, processor.image_processor)
    first = processor.image_processor([image], return_tensors="pt")
    second = processor.image_processor([small], return_tensors="pt")
    assert torch.equal(first.pixel_values, second.pixel_values)
    assert torch.equal(first.image_grid_thw, second.image_grid_thw)
    assert small.width * small.height <= image.width * image.height


def test_only_what_is_too_large_is_shrunk(processor):
    sizes = {size: shrunk(noise(*size), processor.image_processor).size for size in SIZES}
    assert sizes[640, 480] == seen_size(processor.image_processor, 640, 480) != (640, 480)
    assert sizes[448, 448] == (448, 448)
    assert sizes[100, 60] == (100, 60)  # the processor itself rounds it to whole tokens


def test_presized_rows_have_the_same_values_and_keep_small_files(processor):
    files = [stored(noise(900, 700)), stored(noise(112, 112)), stored(noise(700, 500), "PNG")]
    rows = rows_of(files)
    done: Any = presized(rows, processor.image_processor)
    kept = [image["bytes"] for (image,) in undecoded(done)["images"]]
    assert [new == old["bytes"] for new, old in zip(kept, files, strict=True)] == [0, 1, 0]
    plain: Any = rows
    for before, after in zip(plain, done, strict=True):
        values = [
            processor.image_processor(row["images"], return_tensors="pt").pixel_values
            for row in (before, after)
        ]
        assert torch.equal(*values)


def test_undecoded_rows_decode_to_the_same_pixels():
    rows = rows_of([stored(noise(64, 32).convert("L"))])
    stored_rows: Any = undecoded(rows)
    ours = decode(stored_rows[0]["images"][0])
    assert ours.mode == "RGB"
    plain_rows: Any = rows
    assert ours.tobytes() == plain_rows[0]["images"][0].tobytes()


def test_row_lengths_count_image_tokens(processor):
    rows = rows_of([stored(noise(448, 448)), stored(noise(112, 112)), stored(noise(3000, 2000))])
    large = np.prod(seen_size(processor.image_processor, 3000, 2000)) // 28**2
    text = 80 // 4
    expected = [256 + text, 16 + text, large + text]
    assert row_lengths(rows, processor) == expected
    # Sizes that the builder measured: no image is touched.
    broken = rows_of([{"bytes": b"no image", "path": None}] * 3)
    sizes = np.array([(448, 448), (112, 112), (3000, 2000)])
    assert row_lengths(broken, processor, sizes=sizes) == expected


def test_sizes_are_read_where_the_builder_measured_them(tmp_path):
    folder = tmp_path / "set"
    (folder / "data").mkdir(parents=True)
    (folder / "measurements").mkdir()
    sizes = [(30, 20), (40, 10), (50, 60)]
    for number, own in enumerate((sizes[:2], sizes[2:])):
        name = f"train-{number:05d}-of-00002.parquet"
        pq.write_table(pa.table({"id": [str(size) for size in own]}), folder / "data" / name)
        widths, heights = zip(*own, strict=True)
        measured = pa.table({"width": widths, "height": heights})
        pq.write_table(measured, folder / "measurements" / name)
    found = measured_sizes(str(folder), "train")
    assert found is not None
    assert found.tolist() == [list(size) for size in sizes]
    (folder / "measurements" / name).unlink()
    assert measured_sizes(str(folder), "train") is None
    assert measured_sizes("some-hub/data-set", "train") is None


def test_groups_are_of_one_length_seeded_by_epoch_and_complete():
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 300, 402).tolist()
    sampler = LengthGroups(lengths, batch_size=8, seed=3)
    orders = {}
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        orders[epoch] = list(sampler)
        assert sorted(orders[epoch]) == list(range(402))
        assert list(sampler) == orders[epoch]  # a run that goes on sees the same order
    assert orders[0] != orders[1]
    groups = [[lengths[row] for row in orders[0][i : i + 8]] for i in range(0, 400, 8)]
    padding = sum(8 * max(group) - sum(group) for group in groups)
    in_order = [lengths[i : i + 8] for i in range(0, 400, 8)]
    assert padding < 0.3 * sum(8 * max(group) - sum(group) for group in in_order)
    assert max(groups[0]) == max(lengths)
    means = [np.mean(group) for group in groups[1:]]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.5  # not from long to short
