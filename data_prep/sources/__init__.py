"""Readers of published data sets: a layout on the disk in, an ``Item`` or ``Dropped`` an image out.

A reader streams, opens no image, and asks the disk no more than the names: whether a file is there
and whole is found out when it is read. Labels become "real" or "fake" here and nowhere else.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from data_prep.items import Dropped, Item
from data_prep.sources.fakeclue import read_fakeclue
from data_prep.sources.genimage import read_genimage

# Root and split ("train" or "test") in; a set whose folders have other names translates them.
Reader = Callable[[Path, str], Iterator[Item | Dropped]]

# The option of `python -m data_prep test` that names the root, and its reader.
READERS: Mapping[str, Reader] = {
    "fakeclue": read_fakeclue,
    "genimage": read_genimage,
}
