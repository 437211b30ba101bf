"""One image: whole or refused, upright, RGB, its bytes unchanged unless they must not be."""

import io
import struct
import zlib

import imagehash
import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from data_prep import image_hashes
from data_prep.image_check import BadImage, check_image, decode_rgb, nearest_quality
from tests.data_prep.trees import encoded, pixels

PHOTO = pixels(0, 90, 60)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def as_users_see(data: bytes) -> np.ndarray:
    """Decode as ``datasets.Image(mode="RGB")`` does."""
    return np.asarray(opened(data).convert("RGB")).astype(int)


FINE = {
    "jpeg": encoded(PHOTO, quality=90),
    "progressive-jpeg": encoded(PHOTO, progressive=True),
    "grey-jpeg": encoded(PHOTO.convert("L")),
    "png": encoded(PHOTO, "PNG"),
    "grey-png": encoded(PHOTO.convert("L"), "PNG"),
    "palette-png": encoded(PHOTO.quantize(16), "PNG"),
    "one-bit-png": encoded(PHOTO.convert("1"), "PNG"),
    "webp": encoded(PHOTO, "WEBP"),
}


@pytest.mark.parametrize("name", FINE)
def test_fine_files_pass_through_unchanged(name):
    checked = check_image(FINE[name])
    assert checked.data is FINE[name]
    assert checked.changes == ()
    found = checked.measurements
    assert (found.width, found.height, found.n_bytes) == (90, 60, len(FINE[name]))
    assert found.mode == opened(FINE[name]).mode
    assert (found.jpeg_quality is not None) == ("jpeg" in name)


def sixteen_bits() -> tuple[bytes, np.ndarray]:
    values = np.linspace(0, 65535, 60 * 90).reshape(60, 90).astype(np.uint16)
    grey = np.rint(values / 257).astype(int)
    return encoded(Image.fromarray(values), "PNG"), np.repeat(grey[:, :, None], 3, axis=2)


def half_transparent(mode: str) -> tuple[bytes, np.ndarray]:
    """The right half is transparent: white is expected there, and the colour on the left."""
    image = PHOTO.convert("L").convert("LA") if mode == "LA" else PHOTO.convert("RGBA")
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (45, 0, 90, 60))
    image.putalpha(alpha)
    expected = np.asarray(PHOTO.convert("L").convert("RGB") if mode == "LA" else PHOTO).astype(int)
    expected[:, 45:] = 255
    return encoded(image, "PNG"), expected


def transparent_palette() -> tuple[bytes, np.ndarray]:
    image = Image.new("P", (4, 2), 0)
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.paste(1, (2, 0, 4, 2))
    expected = np.full((2, 4, 3), 255)
    expected[:, 2:] = (200, 0, 0)
    return encoded(image, "PNG", transparency=0), expected


def cmyk() -> tuple[bytes, np.ndarray]:
    data = encoded(PHOTO.convert("CMYK"), quality=95)
    return data, np.asarray(PHOTO).astype(int)


def animated(format_: str) -> tuple[bytes, np.ndarray]:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], format_, save_all=True, append_images=frames[1:], lossless=True)
    return data, np.tile([255, 0, 0], (10, 20, 1))


def turned(format_: str) -> tuple[bytes, np.ndarray]:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown upright when turned by 90 degrees clockwise
    upright = np.rot90(np.asarray(PHOTO).astype(int), k=-1)
    return encoded(PHOTO, format_, exif=exif, quality=95), upright


CHANGED = {
    "transparent-rgba": (half_transparent("RGBA"), "put on white", 0),
    "transparent-la": (half_transparent("LA"), "put on white", 0),
    "transparent-palette": (transparent_palette(), "put on white", 0),
    "cmyk-jpeg": (cmyk(), "converted from CMYK", 12),
    "16-bit-png": (sixteen_bits(), "converted from I;16", 0),
    "animated-gif": (animated("GIF"), "first frame of an animation", 0),
    "animated-webp": (animated("WEBP"), "first frame of an animation", 0),
    "animated-png": (animated("PNG"), "first frame of an animation", 0),
    "turned-jpeg": (turned("JPEG"), "turned upright", 12),
    "turned-png": (turned("PNG"), "turned upright", 0),
    "bmp": ((encoded(PHOTO, "BMP"), np.asarray(PHOTO).astype(int)), "written anew from BMP", 0),
}


@pytest.mark.parametrize("name", CHANGED)
def test_others_are_written_anew_as_every_reader_should_show_them(name):
    (data, expected), change, tolerance = CHANGED[name]
    checked = check_image(data)
    assert change in checked.changes
    shown = as_users_see(checked.data)
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).mean() <= tolerance
    assert checked.measurements.mode == "RGB"
    assert checked.measurements.n_bytes == len(checked.data)
    assert np.abs(np.asarray(decode_rgb(data)).astype(int) - expected).mean() <= tolerance
    assert check_image(checked.data).changes == ()  # and are fine from then on


@pytest.mark.parametrize("name", ["turned-jpeg", "cmyk-jpeg"])
def test_a_jpeg_stays_a_jpeg_of_its_quality(name):
    (data, _), _, _ = CHANGED[name]
    measured = check_image(data).measurements
    assert (measured.format, measured.jpeg_quality) == ("JPEG", 95)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("cut", [1, 2, 12, 30, 0.2, 0.5, 0.9, 0.99])
def test_truncated_files_are_corrupt_wherever_they_end(format_, cut):
    data = encoded(PHOTO, format_)
    length = len(data) - cut if isinstance(cut, int) else int(len(data) * (1 - cut))
    if format_ == "GIF" and cut in (1, 2):
        pytest.skip("a GIF without its last two bytes still has every pixel")
    with pytest.raises(BadImage):
        check_image(data[:length])


@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 8}])
def test_a_jpeg_that_is_overwritten_in_its_midst_is_corrupt(options):
    """Pillow alone shows all of these, grey where the data is missing."""
    data = encoded(pixels(1, 300, 200), quality=85, **options)
    for start in range(len(data) // 3, len(data) - 2000, 1000):
        hole = data[:start] + bytes(1000) + data[start + 1000 :]
        opened(hole).load()
        with pytest.raises(BadImage, match="corrupt"):
            check_image(hole)


def test_a_hole_in_a_file_that_is_written_anew_is_seen():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(pixels(1, 300, 200), quality=85, exif=exif)
    assert check_image(data).changes == ("turned upright",)
    with pytest.raises(BadImage, match="corrupt"):
        check_image(data[:5000] + bytes(1000) + data[6000:])


def test_padding_before_a_marker_is_no_damage():
    data = FINE["jpeg"]
    padded = data[:-2] + bytes(10) + data[-2:]
    assert np.array_equal(as_users_see(padded), as_users_see(data))
    assert check_image(padded).measurements.pixel_hash == check_image(data).measurements.pixel_hash


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 2}, {"keep_rgb": True}],
)
@pytest.mark.parametrize("size", [(300, 200), (301, 203), (17, 9), (1, 1)])
def test_a_jpeg_has_the_pixels_that_every_reader_shows(options, size):
    image = pixels(3, *size)
    for kind in (image, image.convert("L")):
        data = encoded(kind, quality=80, **options)
        shown = np.ascontiguousarray(as_users_see(data).astype(np.uint8))
        assert check_image(data).measurements.pixel_hash == image_hashes.pixel_hash(shown)


def test_every_truncation_of_a_jpeg_is_seen():
    data = encoded(pixels(1, 24, 16), quality=80)
    passed = []
    for length in range(len(data)):
        try:
            check_image(data[:length])
            passed.append(length)
        except BadImage:
            continue
    assert passed == []


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that claims a huge size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + content + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(10_000, 10_000), (60_000, 60_000)])
@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bombs_are_refused(size, decode):
    with pytest.raises(BadImage, match="more than"):
        check_image(png_bomb(*size), decode=decode)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_image_is_refused(data):
    with pytest.raises(BadImage):
        check_image(data)


def test_without_decoding_there_are_no_hashes_and_truncation_passes():
    data = FINE["jpeg"]
    measured = check_image(data[:-200], decode=False).measurements
    assert (measured.width, measured.height, measured.jpeg_quality) == (90, 60, 90)
    assert measured.pixel_hash is None
    assert measured.perceptual_hash is None


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 51, 75, 90, 95, 96, 100])
def test_jpeg_quality_is_that_of_the_encoder(quality):
    assert nearest_quality(opened(encoded(PHOTO, quality=quality))) == quality


def test_pixel_hash_is_of_pixels_and_size_whatever_the_format():
    png, webp = encoded(PHOTO, "PNG"), encoded(PHOTO, "WEBP", lossless=True)
    same = {check_image(data).measurements.pixel_hash for data in (png, webp)}
    assert len(same) == 1
    changed = PHOTO.copy()
    changed.putpixel((89, 59), (1, 2, 3))
    assert check_image(encoded(changed, "PNG")).measurements.pixel_hash not in same
    wide, tall = (np.full((*shape, 3), 200, np.uint8) for shape in ((10, 20), (20, 10)))
    assert image_hashes.pixel_hash(wide) != image_hashes.pixel_hash(tall)


def perceptual(image: Image.Image) -> int:
    return image_hashes.perceptual_hash(np.asarray(image.convert("RGB")))


def test_perceptual_hash_is_near_the_usual_one_and_survives_recompression():
    for seed in range(10):
        image = pixels(seed, 300, 200)
        own = perceptual(image)
        usual = int(str(imagehash.phash(image)), 16)
        assert (own ^ usual).bit_count() <= 6
        assert (own ^ perceptual(opened(encoded(image, quality=60)))).bit_count() <= 6
        for size in ((150, 100), (217, 145), (440, 293)):  # 440 is in blocks of 6, and 2 are left
            assert (own ^ perceptual(image.resize(size))).bit_count() <= 2
        other = perceptual(pixels(seed + 100, 300, 200))
        assert (own ^ other).bit_count() > 8


@pytest.mark.parametrize("shape", [(64, 64), (129, 200), (300, 31), (17_000, 9)])
def test_perceptual_hash_is_of_the_transform_of_the_whole_image(shape):
    """Adding up blocks changes no bit that is not close: SciPy transforms every pixel."""
    height, width = shape
    rgb = np.asarray(pixels(5, width, height))
    low = np.asarray(dctn(rgb @ np.array([0.299, 0.587, 0.114])))[:8, :8]
    above = low - np.median(low)
    own = np.array([int(bit) for bit in f"{image_hashes.perceptual_hash(rgb):064b}"])
    clear = (np.abs(above) > 0.05 * np.median(np.abs(above))).ravel()
    assert clear.mean() > 0.8
    assert (own == (above > 0).ravel())[clear].all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1)])
def test_the_smallest_images_have_hashes(shape):
    found = check_image(encoded(pixels(5, *shape), "PNG")).measurements
    assert found.perceptual_hash
    assert found.pixel_hash


def test_flat_images_share_a_hash_whatever_their_size():
    """Nothing of it is rounding: the bits would differ from machine to machine."""
    shapes = [(64, 64), (300, 200), (33, 777)]
    flat = {image_hashes.perceptual_hash(np.full((*s, 3), 77, np.uint8)) for s in shapes}
    assert flat == {1 << 63}  # the mean alone is above the median
