"""GenImage without its two shortcuts, after "Fake or JPEG?" (P. Grommelt et al., arXiv 2403.17608).

In GenImage as it is published photographs are JPEG (most of quality 96) of many sizes and generated
images are lossless PNG of one size a generator: format and size alone tell the class. The protocol
keeps photographs of quality 96, compresses generated images to JPEG of quality 96 in memory, and
crops both to the size of the generator. Here, image by image:

1. A photograph must be a JPEG of quality 96; any other is left out. A generated image is encoded
   as a JPEG of quality 96, chroma subsampled, unless it is a JPEG of that quality already.
2. Photographs and generated images of the same generator's folder are cropped, without resampling,
   to the same square; what is smaller is left out. Its place is drawn by id and seed.
3. The pixels are stored losslessly (PNG), so that both classes were compressed once and alike.

Departs from the protocol: its bounds for a 512-px generator are 450 to 550 px, which few
photographs of ImageNet meet (typically 500 x 375); here the square is 320 px without upper bound.
"""

import io

from PIL import Image

from data_prep.image_check import BadImage, decode_rgb, nearest_quality
from data_prep.prompts import stable_integer

QUALITY = 96
# Not above the generator's own size: 128 (BigGAN), 256, 512 (SD, Wukong) and 1024 px (Midjourney).
CROP_PX = {"biggan": 128, "adm": 256, "glide": 256, "vqdm": 256}
LARGE_CROP_PX = 320

OTHER_QUALITY = f"unbiased: not a JPEG of quality {QUALITY}"
TOO_SMALL = "unbiased: smaller than the crop of its generator"


def crop_px(item_id: str) -> int:
    """Return the side of the square for an id ``genimage/<generator>/…``, in pixels."""
    return CROP_PX.get(item_id.split("/")[1], LARGE_CROP_PX)


def unbiased_png(data: bytes, item_id: str, label: str, seed: int) -> bytes:
    """Return the crop of an encoded image as a PNG.

    Raises:
        BadImage: The image cannot be read, or the protocol leaves it out.
    """
    quality = _quality(data)
    rgb = decode_rgb(data)
    if quality is None and label == "fake":
        buffer = io.BytesIO()
        rgb.save(buffer, "JPEG", quality=QUALITY)
        rgb = decode_rgb(buffer.getvalue())
    elif quality != QUALITY:
        raise BadImage(OTHER_QUALITY)
    side = crop_px(item_id)
    if min(rgb.size) < side:
        raise BadImage(TOO_SMALL)
    left, top = (
        stable_integer(f"{seed}/crop/{axis}/{item_id}") % (length - side + 1)
        for axis, length in zip("xy", rgb.size, strict=True)
    )
    buffer = io.BytesIO()
    rgb.crop((left, top, left + side, top + side)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _quality(data: bytes) -> int | None:
    """Return the JPEG quality, None for another format; unreadable data is left to the decoder."""
    try:
        return nearest_quality(Image.open(io.BytesIO(data)))
    except Exception:
        return None
