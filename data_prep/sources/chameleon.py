"""Chameleon (AIDE, ICLR 2025): a test set in the folders ``0_real`` and ``1_fake``.

Given by its authors on request, for academic research alone; nothing of it may be passed on.
"""

from collections.abc import Iterator
from pathlib import Path

from data_prep.items import Dropped, Item
from data_prep.sources.folder import read_class_folders
from data_prep.sources.image_files import check_folder, folders_in
from rewards.errors import UserError

CLASS_FOLDERS = {"0_real": "real", "1_fake": "fake"}


def read_chameleon(root: Path, split: str) -> Iterator[Item | Dropped]:
    """Yield the images of Chameleon; it has a test split only.

    Args:
        root: Holds ``0_real`` and ``1_fake``, itself or in ``test/``.
        split: The split to build.

    Raises:
        UserError: Another split than "test" is asked for, or a class folder is missing.
    """
    if split != "test":
        raise UserError(f"Chameleon is a test set and has no split {split!r}; use it with `test`.")
    check_folder(root, "Chameleon")
    for folder in (root, root / "test", root / "Chameleon", root / "Chameleon" / "test"):
        if all((folder / name).is_dir() for name in CLASS_FOLDERS):
            break
    else:
        raise UserError(
            f"Chameleon: {root} holds {folders_in(root)}; expected the folders 0_real and 1_fake, "
            "there or in test/. Read another layout with --folder."
        )
    yield from read_class_folders(folder, "chameleon", "chameleon", CLASS_FOLDERS)
