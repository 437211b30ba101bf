"""Names of files inside a published data set: safe ones, and what a folder's name tells."""

import re
from pathlib import PurePosixPath

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
    | {".avif", ".jp2", ".ppm", ".pgm"}
)
NOT_AN_IMAGE = "the file name has no image suffix"
OUTSIDE = "the path leaves the root of the data set"

# GenImage's generators by the words of a folder or file name; the first that fits.
_GENERATORS = (
    ("sdv4", ("sdv4", "sdv14", "stablediffusionv14", "sd14")),
    ("sdv5", ("sdv5", "sdv15", "stablediffusionv15", "sd15")),
    ("midjourney", ("midjourney",)),
    ("adm", ("adm",)),
    ("wukong", ("wukong",)),
    ("glide", ("glide",)),
    ("vqdm", ("vqdm",)),
    ("biggan", ("biggan",)),
)


def relative_parts(path: str) -> tuple[str, ...] | None:
    """Return the segments of a path inside a data set; None if it is absolute or climbs out."""
    posix = PurePosixPath(path.replace("\\", "/"))
    if posix.is_absolute() or ".." in posix.parts or re.match(r"[A-Za-z]:", path):
        return None
    return posix.parts or None


def generator_in(name: str) -> str | None:
    """Return the GenImage generator that ``name`` tells, e.g. "imagenet_ai_0419_sdv4": "sdv4"."""
    lowered = name.lower()
    words = re.split(r"[^a-z0-9]+", lowered)
    joined = "".join(words)
    for generator, spellings in _GENERATORS:
        if any(spelling in words or spelling == joined for spelling in spellings):
            return generator
    return None


def has_image_suffix(name: str) -> bool:
    """Whether the file's name ends as an image's does, in either case."""
    dot = name.rfind(".")
    return dot >= 0 and name[dot:].lower() in IMAGE_SUFFIXES
