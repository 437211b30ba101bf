"""Read a data set's text columns and image sizes in batches, never decoding an image."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from data_prep.loading import load_rows
from rewards.errors import UserError

BATCH_ROWS = 8192
IMAGE_BATCH_ROWS = 64


@dataclass(frozen=True)
class RowGroup:
    """A stretch of rows in a file: what Parquet can read by itself."""

    path: Path
    index: int
    n_rows: int


@dataclass(frozen=True)
class Batch:
    """Some rows.

    Attributes:
        table: Their columns, images not among them.
        sizes: Width and height of each row's image, shape (n, 2); 0 where they were not read.
    """

    table: pa.Table
    sizes: NDArray[np.int64]


class RowFiles:
    """The rows of one split of a data set folder, or of a hub data set."""

    def __init__(self, path: str, split: str) -> None:
        """Find the files.

        Raises:
            UserError: There is no such data set or split.
        """
        self.path, self.split = path, split
        self._files = sorted(Path(path).glob(f"data/{split}-*.parquet"))
        self._dataset: Any = None
        if self._files:
            readers = {file: pq.ParquetFile(file) for file in self._files}
            self.column_names = readers[self._files[0]].schema_arrow.names
            self._groups = [
                RowGroup(file, index, reader.metadata.row_group(index).num_rows)
                for file, reader in readers.items()
                for index in range(reader.num_row_groups)
            ]
            self.n_rows = sum(group.n_rows for group in self._groups)
        else:
            self._dataset = load_rows(path, split, ())
            self.column_names, self.n_rows = self._dataset.column_names, len(self._dataset)
            self._groups = []

    @property
    def has_measurements(self) -> bool:
        """Return whether every file has its image sizes beside it."""
        return bool(self._files) and all(_measured(file).is_file() for file in self._files)

    def batches(
        self, columns: Sequence[str], max_rows: int | None, max_images: int
    ) -> Iterator[Batch]:
        """Yield rows in order, at most about ``max_rows``, spread evenly over the files.

        Image sizes are those of ``measurements/`` where there are any; else the headers of at most
        ``max_images`` images are read, spread evenly.
        """
        if self._dataset is not None:
            yield from self._from_dataset(columns, max_rows, max_images)
            return
        groups = _spread(self._groups, max_rows)
        n_chosen = sum(group.n_rows for group in groups)
        per_group = -(-max_images * groups[0].n_rows // n_chosen) if groups else 0
        n_left = max_images
        for group in groups:
            quota = min(n_left, max(per_group, 1), group.n_rows)
            sizes = self._sizes(group, 0 if self.has_measurements else quota)
            n_left -= 0 if self.has_measurements else quota
            start = 0
            with pq.ParquetFile(group.path) as reader:
                for part in reader.iter_batches(
                    BATCH_ROWS, row_groups=[group.index], columns=list(columns)
                ):
                    stop = start + part.num_rows
                    yield Batch(pa.Table.from_batches([part]), sizes[start:stop])
                    start = stop

    def _sizes(self, group: RowGroup, n_headers: int) -> NDArray[np.int64]:
        sizes = np.zeros((group.n_rows, 2), dtype=np.int64)
        if self.has_measurements:
            first = sum(
                g.n_rows for g in self._groups if g.path == group.path and g.index < group.index
            )
            measured = pq.read_table(_measured(group.path), columns=["width", "height"])
            rows = measured.slice(first, group.n_rows)
            if rows.num_rows != group.n_rows:
                raise UserError(
                    f"{_measured(group.path)} has {measured.num_rows} rows, fewer than its data "
                    "file; build the data set again."
                )
            for column, name in enumerate(("width", "height")):
                sizes[:, column] = rows[name].to_numpy()
            return sizes
        start = 0
        with pq.ParquetFile(group.path) as reader:
            for part in reader.iter_batches(
                IMAGE_BATCH_ROWS, row_groups=[group.index], columns=["images"]
            ):
                for images in part.column("images")[: max(n_headers - start, 0)]:
                    sizes[start] = _header_size(images.as_py(), group.path)
                    start += 1
                if start >= n_headers:
                    return sizes
        return sizes

    def _from_dataset(
        self, columns: Sequence[str], max_rows: int | None, max_images: int
    ) -> Iterator[Batch]:
        n_rows = min(self.n_rows, max_rows or self.n_rows)
        rows = self._dataset.select(np.linspace(0, self.n_rows - 1, n_rows).astype(int))
        done = 0
        for part in rows.with_format("arrow").iter(BATCH_ROWS):
            sizes = np.zeros((part.num_rows, 2), dtype=np.int64)
            if "images" in part.column_names:
                for row, images in enumerate(part.column("images")[: max(max_images - done, 0)]):
                    sizes[row] = _header_size(images.as_py(), Path(self.path))
            done += part.num_rows
            yield Batch(part.select(list(columns)), sizes)


def _measured(file: Path) -> Path:
    return file.parents[1] / "measurements" / file.name


def _spread(groups: Sequence[RowGroup], max_rows: int | None) -> list[RowGroup]:
    """Return row groups at even distances that hold about ``max_rows`` rows."""
    total = sum(group.n_rows for group in groups)
    if max_rows is None or total <= max_rows:
        return list(groups)
    n_groups = max(1, round(len(groups) * max_rows / total))
    return [groups[i] for i in np.linspace(0, len(groups) - 1, n_groups).round().astype(int)]


def _header_size(images: list[dict[str, Any]], where: Path) -> tuple[int, int]:
    """Return width and height of a row's one image, as its header has them, upright.

    Raises:
        UserError: The row has none or several images, or one that is no image.
    """
    if len(images or ()) != 1:
        raise UserError(f"{where}: a row has {len(images or ())} images; expected one.")
    try:
        with Image.open(io.BytesIO(images[0]["bytes"])) as image:
            # Orientations 5 to 8 lie on their side; `datasets` turns them when it decodes.
            turned = image.getexif().get(0x0112, 1) >= 5
            return image.size if not turned else (image.size[1], image.size[0])
    except (OSError, TypeError) as error:
        raise UserError(
            f"{where}: an image cannot be read ({error}). Build the data set again: its tool "
            "leaves such images out."
        ) from error
