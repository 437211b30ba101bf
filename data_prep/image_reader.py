"""Read one encoded image, from a file of its own or from a row of a Parquet file."""

import errno
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from data_prep.image_check import BadImage
from data_prep.items import Item
from rewards.errors import UserError

MISSING = "the image file is missing"
NOT_READABLE = "the image file cannot be opened"
TOO_LARGE = "the image file is larger than 256 MiB"
NO_BYTES = "the row of the Parquet file holds no image"
MAX_FILE_BYTES = 256 * 2**20

# Faults of one name; any other (a disk that fails, a share that is gone) stops the build.
_FAULTS_OF_THE_FILE = {
    errno.EACCES: NOT_READABLE,
    errno.EISDIR: NOT_READABLE,
    errno.ELOOP: NOT_READABLE,
    errno.ENAMETOOLONG: MISSING,
    errno.ENOENT: MISSING,
    errno.ENOTDIR: MISSING,
    errno.EPERM: NOT_READABLE,
}


class ImageReader:
    """Reads items' images; keeps the Parquet row group that was read last."""

    def __init__(self) -> None:
        """Start with nothing open."""
        self._file: tuple[Path, pq.ParquetFile] | None = None
        self._group: tuple[Path, int, str, Any] | None = None

    def read(self, item: Item) -> bytes:
        """Return the encoded image.

        Raises:
            BadImage: There is none to read.
            UserError: The disk fails.
        """
        try:
            if item.row is None:
                return _read_file(item.path)
            return self._read_row(item.path, item.row, str(item.column))
        except OSError as error:
            reason = _FAULTS_OF_THE_FILE.get(error.errno or 0)
            if reason is None:
                raise UserError(
                    f"reading {item.path} failed: {error.strerror or error}. Nothing is lost: the "
                    "same command goes on where it was, once the file can be read or is removed."
                ) from error
            raise BadImage(reason) from error

    def _read_row(self, path: Path, row: int, column: str) -> bytes:
        if self._file is None or self._file[0] != path:
            self._file = (path, pq.ParquetFile(path))
        file = self._file[1]
        group, first = 0, 0
        while row >= first + file.metadata.row_group(group).num_rows:
            first += file.metadata.row_group(group).num_rows
            group += 1
        if self._group is None or self._group[:3] != (path, group, column):
            self._group = None  # or two groups are in memory while the next is read
            values = file.read_row_group(group, columns=[column]).column(column)
            self._group = (path, group, column, values)
        value = self._group[3][row - first].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            raise BadImage(NO_BYTES)
        return data


def _read_file(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
            raise BadImage(TOO_LARGE)
        return file.read()
