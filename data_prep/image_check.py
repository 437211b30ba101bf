"""Look at one encoded image: is it whole, what does it hold, which bytes go into the data set.

``check_image`` decodes every pixel once; a JPEG by libjpeg-turbo without Pillow in between, which
is faster and tells what Pillow passes over in silence: data missing in the midst of the file. A
file that any reader would show as it should be is passed on byte for byte; only one that would be
shown wrongly (turned, transparent, CMYK, more than 8 bits, animated, an uncommon format) is written
anew: a JPEG as a JPEG with its own quantisation tables, so that no new format tells real from fake,
anything else losslessly as PNG.

Grey and palette images are passed on, too: ``data_prep.rows.ROW_FEATURES`` has
``Image(mode="RGB")``, so every row opens as RGB, and nothing is lost on the way from one channel to
three equal ones.
"""

import functools
import io
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageOps, JpegImagePlugin, UnidentifiedImageError

from data_prep.image_hashes import perceptual_hash, pixel_hash

# Half of Pillow's own limit, and the size at which it warns: 89 million pixels are 268 MB of RGB.
MAX_PIXELS = 89_478_485
# No format that starts another program (EPS) or holds no pixels of its own.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
KEPT_FORMATS = ("JPEG", "PNG", "WEBP")  # what every reader of a data set opens
KEPT_MODES = ("RGB", "L", "P", "1")  # `convert("RGB")` loses nothing, unless there is transparency

# What libjpeg says of a file in whose midst something is missing or was written over. It also
# mentions what may harm no pixel, such as padding before the end mark: then Pillow decides.
DAMAGED = re.compile(
    "premature end of data segment|bad Huffman code|instead of RST|before marker 0xd[0-7]"
)

UNREADABLE = "the file is not an image of a known format"
CORRUPT = "the image file is truncated or corrupt"
BOMB = f"the image has more than {MAX_PIXELS} pixels"
EMPTY = "the file is empty"


class BadImage(ValueError):
    """The bytes cannot serve as an image; the message is one of a few fixed sentences."""


@dataclass(frozen=True, slots=True)
class Measurements:
    """What is measured of the bytes that are stored, not of the file they come from.

    Attributes:
        format: Pillow's name of the file format, e.g. "JPEG".
        mode: Pillow's name of the pixel format in the file, e.g. "RGB", "L".
        width: Upright, in pixels.
        height: Likewise.
        n_bytes: Length of the encoded image.
        jpeg_quality: IJG quality, 1 to 100, whose luminance table is nearest; None if no JPEG.
        pixel_hash: 16 bytes that depend on size and RGB pixels alone; None if not decoded.
        perceptual_hash: 64 bits; few differ between images that look alike. None if not decoded.
    """

    format: str
    mode: str
    width: int
    height: int
    n_bytes: int
    jpeg_quality: int | None
    pixel_hash: bytes | None
    perceptual_hash: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return the measurement columns of a row."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """A whole, upright image.

    Attributes:
        data: The encoded image to store: the bytes as they came unless ``changes`` says otherwise.
        changes: Why the bytes are not those of the file, e.g. ("turned upright",); else empty.
        measurements: Of ``data``.
    """

    data: bytes
    changes: tuple[str, ...]
    measurements: Measurements


def check_image(data: bytes, *, decode: bool = True) -> CheckedImage:
    """Check an encoded image and measure it.

    Args:
        data: The content of an image file.
        decode: Decode every pixel. Without it only the header is read: a truncated file passes, the
            two hashes are None; an image that must be written anew is decoded all the same.

    Raises:
        BadImage: The bytes are no image, are truncated or corrupt, or hold too many pixels.
    """
    image = _open(data)
    if decode and not _reaches_its_end(data, image):
        raise BadImage(CORRUPT)
    changes = _changes(image)
    if changes:
        if decode:
            _jpeg_pixels(data, image)  # what is written anew has no holes to be seen
        data = encode(_upright_rgb(image), like=image)
        image = _open(data)
    quality = nearest_quality(image)
    measured = Measurements(
        _format(image), image.mode, image.width, image.height, len(data), quality, None, None
    )
    if decode:
        rgb = _decoded(data, image)
        measured = replace(
            measured, pixel_hash=pixel_hash(rgb), perceptual_hash=perceptual_hash(rgb)
        )
    return CheckedImage(data, changes, measured)


def decode_rgb(data: bytes) -> Image.Image:
    """Return the image, upright, first frame, RGB, transparent parts on white.

    Raises:
        BadImage: See ``check_image``.
    """
    return _upright_rgb(_open(data))


def encode(rgb: Image.Image, *, like: Image.Image) -> bytes:
    """Return ``rgb`` as a JPEG with the tables of ``like`` if that is one, else as a PNG."""
    buffer = io.BytesIO()
    if _format(like) == "JPEG":
        tables = _quantization(like)
        sampling = JpegImagePlugin.get_sampling(like)
        rgb.save(
            buffer,
            "JPEG",
            qtables=[tables[key] for key in sorted(tables)[:2]],
            subsampling=sampling if sampling >= 0 else 0,
        )
    else:
        rgb.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def nearest_quality(image: Image.Image) -> int | None:
    """Return the IJG quality whose luminance table is nearest in mean square; None if no JPEG."""
    if _format(image) != "JPEG":
        return None
    tables = _quantization(image)
    return _nearest_quality(tuple(tables[min(tables)])) if tables else None


def _open(data: bytes) -> Image.Image:
    if not data:
        raise BadImage(EMPTY)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        image.decodermaxblock = len(data)  # all in one piece: it is in memory anyway
    except Image.DecompressionBombError as error:
        raise BadImage(BOMB) from error
    except UnidentifiedImageError as error:
        raise BadImage(UNREADABLE) from error
    except Exception as error:  # a broken header makes Pillow's plugins raise nearly anything
        raise BadImage(CORRUPT) from error
    if image.width * image.height > MAX_PIXELS:
        raise BadImage(BOMB)
    return image


def _reaches_its_end(data: bytes, image: Image.Image) -> bool:
    """Whether the end mark is there: Pillow is content with the last pixel."""
    if _format(image) == "JPEG":  # no mark can stand within a scan: none starts after the last end
        end = data.rfind(b"\xff\xd9")
        return end >= 0 and data.find(b"\xff\xda", end) < 0
    if image.format != "PNG":
        return True
    position = 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        position += 12 + length
        if kind == b"IEND":
            return position <= len(data)
    return False


def _decoded(data: bytes, image: Image.Image) -> np.ndarray:
    """Decode all pixels: uint8 [height, width, 3]."""
    pixels = _jpeg_pixels(data, image)
    if pixels is not None:
        return pixels
    try:
        image.load()
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise BadImage(BOMB) from error
    except Exception as error:
        raise BadImage(CORRUPT) from error


def _jpeg_pixels(data: bytes, image: Image.Image) -> np.ndarray | None:
    """Decode a JPEG that is whole: uint8 [height, width, 3]. None where Pillow must decide."""
    if _format(image) != "JPEG" or image.mode not in ("RGB", "L"):
        return None
    try:
        return simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except ValueError as error:
        if DAMAGED.search(str(error)):
            raise BadImage(CORRUPT) from error
        return None


def _format(image: Image.Image) -> str:
    # A multi-picture file of a phone is a JPEG whose further pictures no JPEG reader looks at.
    return "JPEG" if image.format == "MPO" else str(image.format)


def _changes(image: Image.Image) -> tuple[str, ...]:
    """Return why the file must be written anew; nothing where it can be passed on."""
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1)
        n_frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
    except Exception as error:
        raise BadImage(CORRUPT) from error
    changes = []
    if turned:
        changes.append("turned upright")
    if n_frames > 1:
        changes.append("first frame of an animation")
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        changes.append("put on white")
    elif image.mode not in KEPT_MODES:
        changes.append(f"converted from {image.mode}")
    if _format(image) not in KEPT_FORMATS:
        changes.append(f"written anew from {_format(image)}")
    return tuple(changes)


def _upright_rgb(image: Image.Image) -> Image.Image:
    try:
        image.load()
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith(("I", "F")):
            image = _to_8_bits(image)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        rgb = image.convert("RGB")
    except Image.DecompressionBombError as error:
        raise BadImage(BOMB) from error
    except Exception as error:
        raise BadImage(CORRUPT) from error
    rgb.info = {}  # what stands there belongs to the file that came in
    return rgb


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit values to 8; 32-bit and floating ones by their own range, if beyond 0 to 255."""
    values = np.asarray(image).astype(np.float64)
    if image.mode.startswith("I;16") or (image.format == "PNG" and image.mode == "I"):
        values = values / 257
    elif not (values.min() >= 0 and values.max() <= 255):
        span = max(float(np.ptp(values)), 1e-12)
        values = (values - values.min()) / span * 255
    return Image.fromarray(np.rint(values).astype(np.uint8))


def _quantization(image: Image.Image) -> dict[int, list[int]]:
    return getattr(image, "quantization", {})  # only JPEG images have it


# Annex K of the JPEG standard: luminance at quality 50, row by row.
_BASE_TABLE = np.array(
    [
        *(16, 11, 10, 16, 24, 40, 51, 61),
        *(12, 12, 14, 19, 26, 58, 60, 55),
        *(14, 13, 16, 24, 40, 57, 69, 56),
        *(14, 17, 22, 29, 51, 87, 80, 62),
        *(18, 22, 37, 56, 68, 109, 103, 77),
        *(24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101),
        *(72, 92, 95, 98, 112, 100, 103, 99),
    ]
)


@functools.cache
def _quality_tables() -> np.ndarray:
    """Return the IJG tables of quality 1 to 100: int64 [100, 64]."""
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return np.clip((_BASE_TABLE * scale[:, None] + 50) // 100, 1, 255)


@functools.lru_cache(maxsize=4096)
def _nearest_quality(table: tuple[int, ...]) -> int:
    distance = ((_quality_tables() - np.array(table)) ** 2).sum(axis=1)
    return int(distance.argmin()) + 1
