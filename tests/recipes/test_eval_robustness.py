"""Changed images: deterministic by id, of the stated sizes, and total on small images."""

import numpy as np
import pytest
from PIL import Image

from recipes.robustness import VARIANTS

ALL = pytest.mark.parametrize("name", VARIANTS)


def picture(width: int = 64, height: int = 48) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height))


@ALL
def test_depends_on_image_and_id_alone(name: str) -> None:
    one, two = (np.asarray(VARIANTS[name](picture(), "a")) for _ in range(2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, np.asarray(picture())), "nothing was changed"


@ALL
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (31, 7)])
def test_any_size_will_do(name: str, size: tuple[int, int]) -> None:
    changed = VARIANTS[name](picture(*size), "a")
    assert changed.mode == "RGB"
    assert min(changed.size) >= 1


@pytest.mark.parametrize(
    ("name", "size"),
    [("jpeg-50", (64, 48)), ("webp-50", (64, 48)), ("resize-50", (32, 24)), ("crop-70", (45, 34)),
     ("blur-1", (64, 48)), ("noise-4", (64, 48))],
)  # fmt: skip
def test_size(name: str, size: tuple[int, int]) -> None:
    assert VARIANTS[name](picture(), "a").size == size


def test_lower_quality_is_further_from_the_image() -> None:
    image = np.asarray(picture(), dtype=float)
    errors = [
        np.abs(np.asarray(VARIANTS[f"jpeg-{q}"](picture(), "a")) - image).mean()
        for q in (90, 70, 50, 30)
    ]
    assert errors == sorted(errors)
    assert errors[0] < errors[-1]


def test_noise_has_the_stated_deviation() -> None:
    grey = Image.new("RGB", (128, 128), (128, 128, 128))
    noise = np.asarray(VARIANTS["noise-8"](grey, "a"), dtype=float) - 128
    assert noise.std() == pytest.approx(8, rel=0.02)  # 49,152 draws
    assert noise.mean() == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize("name", ["crop-70", "noise-4", "screenshot"])
def test_another_id_draws_something_else(name: str) -> None:
    results = {VARIANTS[name](picture(), row_id).tobytes() for row_id in "abcd"}
    assert len(results) > 1
