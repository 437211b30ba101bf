"""LOKI (Ye et al., ICLR 2025): true/false questions about images.

The hub's ``media_data.zip`` unpacked to ``media_data/``, and beside it the questions of the
authors' repository (``true_or_false.json`` or ``image_tf*.json``). A question asks whether an
image is generated, or whether it is taken from the real world; what "Yes" means depends on it, so
an answer is a label only where the question's text says which.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from data_prep.items import Dropped, Item
from data_prep.sources.image_files import check_folder
from rewards.errors import UserError

logger = logging.getLogger(__name__)

MEDIA_FOLDER = "media_data"
QUESTION_FILES = ("true_or_false.json", "image_tf*.json")
# What the authors' true/false file holds for images.
EXPECTED_COUNTS = {"real": 900, "fake": 1317}

_IMAGE = r"(?:image|picture|photo|photograph)"
_ASKS_IF_FAKE = re.compile(
    rf"\b(?:is|whether) (?:this|the) (?:\w+ )?{_IMAGE} (?:is )?"
    r"(?:ai-)?(?:generated|synthesi[sz]ed|created|made) by (?:an? )?(?:\w+ )?ai\b"
)
_ASKS_IF_REAL = re.compile(
    rf"\b(?:is|whether) (?:this|the) (?:\w+ )?{_IMAGE} (?:is )?"
    r"(?:taken|captured|photographed) (?:from|in) the real world\b"
)


def read_loki(
    root: Path, split: str, *, questions: Sequence[Path] | None = None
) -> Iterator[Item | Dropped]:
    """Yield every image that a true/false question gives a label, once.

    An image that several questions ask about needs the same label from all of them. Other counts
    than ``EXPECTED_COUNTS`` are a warning, unless ``questions`` is given.

    Args:
        root: Holds ``media_data/`` and, where ``questions`` is None, the questions.
        split: The split to build; LOKI is a test set.
        questions: JSON files of questions; None: every file of ``QUESTION_FILES`` below ``root``.

    Raises:
        UserError: Another split than "test", no questions or no ``media_data``, or a file that is
            no list of questions in LOKI's form.
    """
    if split != "test":
        raise UserError(f"LOKI is a test set and has no split {split!r}; use it with `test`.")
    check_folder(root, "LOKI")
    media = root / MEDIA_FOLDER
    if not media.is_dir():
        raise UserError(f"LOKI: {root} has no folder {MEDIA_FOLDER}; unpack media_data.zip there.")
    labels: dict[str, str | None] = {}
    categories: dict[str, str] = {}
    for file in questions if questions is not None else find_questions(root):
        for index, entry in enumerate(_entries(file)):
            image, label, reason = read_question(entry, f"{file}, entry {index}")
            if label is None:
                where = f"loki/{entry.get('id') or f'{file.name}#{index}'}"
                yield Dropped(where, image, reason)
            elif labels.setdefault(image, label) != label:
                labels[image] = None
            categories.setdefault(image, _category(entry))
    for image, label in labels.items():
        name = f"loki/{image.removeprefix(f'{MEDIA_FOLDER}/')}"
        if label is None:
            yield Dropped(name, image, "its questions give both labels")
            continue
        generator = "camera" if label == "real" else "unknown"
        yield Item(name, root / image, label, "loki", generator, categories[image])
    if questions is None:
        _warn_of_other_counts(labels.values())


def find_questions(root: Path) -> list[Path]:
    """Return the files of true/false questions below ``root``, outside the media.

    Raises:
        UserError: There are none.
    """
    folders = [root, root / "data", root / "data" / "image", root / "image"]
    found = [file for folder in folders for name in QUESTION_FILES for file in folder.glob(name)]
    # Variants for chain of thought and few-shot prompts repeat the same images.
    found = [file for file in found if not re.search(r"_(cot|fs)_", file.name)]
    if not found:
        others = sorted(file.name for folder in folders for file in folder.glob("*.json"))
        raise UserError(
            f"LOKI: no {' or '.join(QUESTION_FILES)} in {root}, its data/ or data/image/; found "
            f"{others[:10] or 'no JSON files'}. Copy the true/false questions of the authors' "
            "repository there, or name them with --loki_questions."
        )
    return sorted(found)


def read_question(entry: dict[str, Any], where: str) -> tuple[str, str | None, str]:
    """Return the image a question asks about, its label, and, without one, the reason.

    Raises:
        UserError: A true/false question about an image lacks its text, answer or image.
    """
    images = entry.get("image_path")
    if entry.get("modality") != "image-text":
        return str(images or ""), None, "not about an image"
    if entry.get("metric") != "open-ended":
        return str(images), None, "not a true/false question"
    if isinstance(images, list) and len(images) != 1:
        return str(images), None, "about several images"
    image = images[0] if isinstance(images, list) else images
    text, answer = entry.get("question"), entry.get("answer")
    if not (isinstance(image, str) and isinstance(text, str) and isinstance(answer, str)):
        raise UserError(
            f"LOKI: {where}: image_path, question and answer must be texts, found {image!r}, "
            f"{text!r} and {answer!r}."
        )
    if not image.startswith(f"{MEDIA_FOLDER}/") or ".." in image.split("/"):
        return image, None, f"its path does not begin with {MEDIA_FOLDER}/"
    label, reason = _label(text, answer, str(entry.get("question_type")))
    return image, label, reason


def _label(text: str, answer: str, question_type: str) -> tuple[str | None, str]:
    """Return the label an answer gives, or None and the reason."""
    yes_means = what_yes_means(text)
    if yes_means is None:
        return None, "its question does not say what yes means"
    asked = re.search(r"ask_(real|fake)", question_type)
    if asked and asked[1] != yes_means:
        return None, "its question and question_type disagree"
    no_means = "real" if yes_means == "fake" else "fake"
    label = {"yes": yes_means, "no": no_means}.get(answer.strip().lower())
    return label, "" if label else "its answer is neither yes nor no"


def what_yes_means(question: str) -> str | None:
    """Return the label that "yes" stands for; None if the text does not say or says both."""
    text = " ".join(question.lower().split())
    asks = {"fake": bool(_ASKS_IF_FAKE.search(text)), "real": bool(_ASKS_IF_REAL.search(text))}
    meanings = [label for label, found in asks.items() if found]
    return meanings[0] if len(meanings) == 1 else None


def _warn_of_other_counts(labels: Iterable[str | None]) -> None:
    counts = Counter(label for label in labels if label)
    if counts != EXPECTED_COUNTS:
        logger.warning("LOKI: found %s, published are %s.", dict(counts), EXPECTED_COUNTS)


def _entries(file: Path) -> list[dict[str, Any]]:
    """Return a file's questions, whichever Unicode encoding it is in."""
    try:
        entries = json.loads(file.read_bytes())  # tells UTF-8, UTF-16 and UTF-32, BOM or not
    except FileNotFoundError as error:
        raise UserError(f"LOKI: {file} does not exist; name the file of questions.") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"LOKI: {file} is no JSON ({error}); download it again.") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"LOKI: {file} is no list of questions; name a true/false file of LOKI.")
    return entries


def _category(entry: dict[str, Any]) -> str:
    """Return what the question's type names behind ``ask_real_`` or ``ask_fake_``."""
    named = re.search(r"ask_(?:real|fake)_(\w+)$", str(entry.get("question_type")))
    return named[1] if named else "unknown"
