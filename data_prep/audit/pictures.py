"""Pictures of rows for the report: small, and read without holding a shard in memory."""

import io
from collections import defaultdict
from collections.abc import Sequence

from data_prep.audit.folder import Shard, encoded_image, iter_rows
from data_prep.audit.streaming import places_by_row_group
from data_prep.image_check import BadImage, decode_rgb

THUMBNAIL_PX = 120
WEBP_QUALITY = 70


def thumbnails(places: Sequence[tuple[Shard, int]]) -> list[bytes | None]:
    """Return a WebP of at most ``THUMBNAIL_PX`` for each place; None where there is no image."""
    pictures: list[bytes | None] = [None] * len(places)
    for shard, row_group, rows, positions in places_by_row_group(places):
        wanted = defaultdict(list)
        for row, position in zip(rows, positions, strict=True):
            wanted[row].append(position)
        for row, content in iter_rows(shard.path, row_group, [shard.image_column]):
            if row not in wanted:
                continue
            try:
                data = encoded_image(content[shard.image_column], shard.path.parent)
                picture = _thumbnail(data)
            except (BadImage, OSError, ValueError):
                picture = None
            for position in wanted[row]:
                pictures[position] = picture
            if row == rows[-1]:
                break
    return pictures


def _thumbnail(data: bytes) -> bytes:
    image = decode_rgb(data)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=WEBP_QUALITY)
    return buffer.getvalue()
