"""What a reader of a published data set yields: one image with its label, or why it is left out.

A reader (``data_prep/sources/``) knows a layout on the disk and nothing of questions, shards or
decoding; the builder knows nothing of layouts.
"""

from pathlib import Path
from typing import NamedTuple


class Item(NamedTuple):
    """One image of a source, not yet read.

    Attributes:
        id: Unique in its data set and the same on every machine; with the seed it decides the
            question.
        path: File of the image; for ``row`` of a Parquet file, that file.
        label: "real" or "fake".
        source: Where it comes from, e.g. "genimage", "ff++"; the first path segment in FakeClue.
        generator: What made it, e.g. "sdv4"; "camera" for a real one, "unknown" if not told.
        category: A class of images within the set, e.g. "animal"; "unknown" if not told.
        reasoning: The explanation without its verdict sentence; "" where the set has none.
        row: Row of the Parquet file ``path`` whose column ``column`` holds the encoded image; None
            where ``path`` is the image file itself.
        column: See ``row``.
    """

    id: str
    path: Path
    label: str
    source: str
    generator: str
    category: str
    reasoning: str = ""
    row: int | None = None
    column: str | None = None


class Dropped(NamedTuple):
    """One entry that is left out.

    Attributes:
        id: As in ``Item``; where an entry is too broken to have one, where it stands.
        path: What it named, as found; "" if nothing.
        reason: A short sentence, the same for all entries with the same fault.
    """

    id: str
    path: str
    reason: str
