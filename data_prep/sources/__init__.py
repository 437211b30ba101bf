"""Readers of published data sets: a layout on the disk in, an ``Item`` or ``Dropped`` an image out.

A reader streams, opens no image, and asks the disk no more than the names: whether a file is there
and whole is found out when it is read. Labels become "real" or "fake" here and nowhere else.
"""

from collections.abc import Callable, Iterator, Mapping

from data_prep.items import Dropped, Item
from data_prep.sources.chameleon import read_chameleon
from data_prep.sources.community_forensics import read_community_forensics
from data_prep.sources.csv_file import read_csv
from data_prep.sources.fakeclue import read_fakeclue
from data_prep.sources.folder import read_folder
from data_prep.sources.genimage import read_genimage
from data_prep.sources.ivy_fake import read_ivy_fake
from data_prep.sources.loki import read_loki

# Root and split ("train" or "test") in, and what the reader alone has as options, by name; a set
# whose folders have other names translates them.
Reader = Callable[..., Iterator[Item | Dropped]]

# The option of `python -m data_prep test` that names the root, and its reader.
READERS: Mapping[str, Reader] = {
    "fakeclue": read_fakeclue,
    "genimage": read_genimage,
    "chameleon": read_chameleon,
    "loki": read_loki,
    "community_forensics": read_community_forensics,
    "ivy_fake": read_ivy_fake,
    "folder": read_folder,
    "csv": read_csv,
}
