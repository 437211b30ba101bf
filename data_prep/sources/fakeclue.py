"""FakeClue (FakeVLM's data set): images with explanations, read from its JSON.

    ROOT/data_json/{train,test}.json      a list of {image, label, cate, conversations, …}
    ROOT/{train,test}/ff++/fake/…/0.png   what `image` names; some unzip it to ROOT/train/train/…

The JSON decides what is in the set; files it does not name are none of it. `label` is 1 for real
and 0 for fake. The source is the first segment of `image` (`cate` never says "chameleon").
"""

import itertools
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ijson

from data_prep.items import Dropped, Item
from data_prep.sources.captions import split_verdict
from data_prep.sources.paths import OUTSIDE, generator_in, relative_parts
from rewards.blocks import CLOSE_TAG, OPEN_TAG
from rewards.errors import UserError

logger = logging.getLogger(__name__)

LABELS = {1: "real", 0: "fake"}
CHAMELEON = "left out of training: Chameleon (Fake-HR1, Sec. 3)"
NO_REASONING = "the explanation says nothing but the verdict"
CONTRADICTION = "the explanation's verdict is not the label"
HAS_TAG = "the explanation holds a think tag"
MANY_IMAGES = "the entry has several images"
# What the published files hold (counts of a third party; 104,343 - 10,155 is the paper's 94,188).
EXPECTED_COUNTS = {
    "train": {"entries": 104_343, "real": 35_947, "fake": 68_396, "chameleon": 10_155},
    "test": {"entries": 5_000, "real": 1_808, "fake": 3_192},
}
N_PROBED = 100  # entries looked for before the root is called wrong


def read_fakeclue(
    root: Path, split: str, *, training: bool | None = None
) -> Iterator[Item | Dropped]:
    """Yield FakeClue's entries.

    Args:
        root: Holds ``data_json/`` and the unzipped images.
        split: "train" or "test".
        training: Leave out what cannot be trained on: Chameleon images, explanations without
            content and those whose verdict is not the label. Otherwise they stay, Chameleon's with
            their source, the other two without reasoning. None: for the split "train" alone.

    Raises:
        UserError: The JSON or the images are not there, the JSON has another schema, or a label is
            neither 0 nor 1.
    """
    training = split == "train" if training is None else training
    json_file = _find_json(root, split)
    entries = _read_entries(json_file)
    probed = list(itertools.islice(entries, N_PROBED))
    if not probed:
        raise UserError(f"{json_file} lists no entries; expected FakeClue's list of objects.")
    folder = _find_images(root, split, probed)
    counts: Counter[str] = Counter()
    for number, entry in enumerate(itertools.chain(probed, entries)):
        where = f"{json_file}, entry {number}"
        label = _label(entry, where)
        counts.update(("entries", label))
        result = _read_entry(entry, where, label, folder, split, training)
        counts["chameleon"] += _is_chameleon(result)
        yield result
    _compare(counts, split, json_file)


def _read_entry(
    entry: Mapping[str, Any], where: str, label: str, folder: Path, split: str, training: bool
) -> Item | Dropped:
    images = entry["image"] if isinstance(entry["image"], list) else [entry["image"]]
    if len(images) != 1:
        return Dropped(f"{where}", " ".join(images), MANY_IMAGES)
    parts = _parts(images[0], split)
    if parts is None:
        return Dropped(f"{where}", images[0], OUTSIDE)
    row_id = "/".join(("fakeclue", split, *parts))
    source = parts[0] if len(parts) > 1 else str(entry.get("dataset_type", "unknown"))
    explanation = split_verdict(_answer(entry, where))
    reasoning, fault = explanation.reasoning, None
    if explanation.verdicts and label not in explanation.verdicts:
        fault = CONTRADICTION
    elif OPEN_TAG in reasoning or CLOSE_TAG in reasoning:
        fault = HAS_TAG
    elif not reasoning:
        fault = NO_REASONING
    if training and source.lower() == "chameleon":
        fault = CHAMELEON
    if fault and training:
        return Dropped(row_id, images[0], fault)
    return Item(
        id=row_id,
        path=folder.joinpath(*parts),
        label=label,
        source=source,
        generator=_generator(parts, label),
        category=str(entry.get("cate") or "unknown"),
        reasoning="" if fault else reasoning,
    )


def _is_chameleon(result: Item | Dropped) -> bool:
    if isinstance(result, Item):
        return result.source.lower() == "chameleon"
    return result.reason == CHAMELEON


def _parts(image: str, split: str) -> tuple[str, ...] | None:
    """Return the segments below the split's folder; some copies name the split once more."""
    parts = relative_parts(image)
    while parts and len(parts) > 1 and parts[0] == split:
        parts = parts[1:]
    return parts


def _generator(parts: tuple[str, ...], label: str) -> str:
    """Return what made the image as far as the path tells, e.g. ``ff++/fake/Deepfakes/…``."""
    if label == "real":
        return "camera"
    source = parts[0] if parts else ""
    if source == "ff++" and len(parts) > 3:
        return parts[2]
    if source == "genimage":
        return next(filter(None, map(generator_in, reversed(parts[1:]))), None) or _stem(parts)
    return "unknown"


def _stem(parts: tuple[str, ...]) -> str:
    """Return the generator in a name like ``116_biggan_00107.png``."""
    words = parts[-1].lower().rsplit(".", 1)[0].split("_")
    return next(filter(None, map(generator_in, words)), "unknown")


def _find_json(root: Path, split: str) -> Path:
    candidates = (root / "data_json" / f"{split}.json", root / f"{split}.json")
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise UserError(
        f"there is no {candidates[0]}: {root} is not FakeClue's root. Expected data_json/ and the "
        "unzipped train.zip and test.zip in it."
    )


def _find_images(root: Path, split: str, entries: list[dict[str, Any]]) -> Path:
    """Return the folder that the entries' images are in, by looking for the first of them."""
    folders = (root / split, root / split / split, root)
    for number, entry in enumerate(entries):
        _check_schema(entry, f"{split}.json, entry {number}")
        image = entry["image"][0] if isinstance(entry["image"], list) else entry["image"]
        parts = _parts(image, split)
        for folder in folders:
            if parts and folder.joinpath(*parts).is_file():
                return folder
    zipped = root / f"{split}.zip"
    raise UserError(
        f"none of the first {len(entries)} images that {split}.json names is there, neither under "
        f"{folders[0]} nor {folders[1]}; the first is {entries[0]['image']!r}. "
        + (f"Unzip {zipped}." if zipped.is_file() else "Is this FakeClue's root?")
    )


def _read_entries(json_file: Path) -> Iterator[dict[str, Any]]:
    """Stream the list: the file of the training split is over a hundred megabytes."""
    number = 0
    with json_file.open("rb") as file:
        start = file.read(3)
        file.seek(3 if start == b"\xef\xbb\xbf" else 0)  # a byte-order mark is not JSON
        try:
            for number, entry in enumerate(ijson.items(file, "item", use_float=True)):
                _check_schema(entry, f"{json_file}, entry {number}")
                yield entry
        except ijson.JSONError as error:
            raise UserError(
                f"{json_file} is not valid JSON after entry {number} "
                f"({' '.join(str(error).split())}). Was the download cut? Fetch it again."
            ) from error


def _check_schema(entry: Any, where: str) -> None:
    if not isinstance(entry, dict):
        raise UserError(
            f"{where} is {str(entry)[:60]!r}; expected an object with keys image, label."
        )
    missing = [key for key in ("image", "label", "conversations") if key not in entry]
    if missing:
        raise UserError(
            f"{where} lacks the keys {missing} and has {sorted(entry)}; expected FakeClue's image, "
            "label, cate and conversations."
        )
    image = entry["image"]
    names = image if isinstance(image, list) else [image]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise UserError(f"{where}: image is {image!r}; expected a path or a list of paths.")


def _label(entry: Mapping[str, Any], where: str) -> str:
    label = entry["label"]
    if type(label) is not int or label not in LABELS:
        raise UserError(f"{where}: label is {label!r}; expected 1 (real) or 0 (fake).")
    return LABELS[label]


def _answer(entry: Mapping[str, Any], where: str) -> str:
    turns = entry["conversations"]
    is_list = isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns)
    answers = [t.get("value") for t in turns if t.get("from") == "gpt"] if is_list else []
    if not answers or not isinstance(answers[0], str):
        raise UserError(
            f"{where}: conversations is {str(turns)[:80]!r}; expected turns "
            '{"from": "human" or "gpt", "value": text} with one of "gpt".'
        )
    return answers[0]


def _compare(counts: Mapping[str, int], split: str, json_file: Path) -> None:
    expected = EXPECTED_COUNTS.get(split, {})
    differing = {key: counts.get(key, 0) for key, n in expected.items() if counts.get(key, 0) != n}
    if differing:
        found = ", ".join(f"{key} {n:,} (not {expected[key]:,})" for key, n in differing.items())
        logger.warning("%s is not the published file: %s.", json_file, found)
