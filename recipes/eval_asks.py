"""Ask a model about every image, answer by answer into files that a killed job goes on with.

An ask is one file of answers. While it is unfinished, its answers stand in partial files beside it,
one for each process that works on it, in any order; what counts as done is the union of all, so
that a lost process's part can be asked by any other. When nothing is missing, the answers are
written in the rows' order and the partial files removed.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from datasets import Dataset
from tqdm import tqdm

from data_prep.prompts import Prompts
from recipes.eval_images import UnreadableImage, read_image, stored_rows
from recipes.generation import Generated, Request
from recipes.partial import append_chunk, read_partial
from recipes.robustness import Change
from recipes.row_samples import row_seed
from rewards import parse_answer
from rewards.errors import UserError
from rewards.files import write_text
from rewards.records import Prediction


@dataclass(frozen=True)
class Ask:
    """One file of answers.

    Attributes:
        file: Its path within the evaluation's folder.
        banks: The banks that each image is asked under.
        start: What every completion is made to begin with.
        change: Done to each image first; None for the image itself.
        num_samples: 0 for one greedy answer, a ``Prediction``; else a list of so many samples.
    """

    file: str
    banks: tuple[str, ...]
    start: str = ""
    change: Change | None = None
    num_samples: int = 0


class Shard(NamedTuple):
    """Every ``count``-th row, from row ``index`` on."""

    index: int = 0
    count: int = 1


@dataclass(frozen=True)
class AskSettings:
    """What all asks of an evaluation have in common.

    Attributes:
        prompts: System prompt and question banks.
        max_completion_length: In tokens.
        temperature: Of samples; single answers are greedy.
        score_verdicts: Whether greedy answers get their ``p_fake``.
        chunk_rows: Images asked between two saves.
        seed: Decides the questions and, with id and bank, the samples.
    """

    prompts: Prompts
    max_completion_length: int
    temperature: float
    score_verdicts: bool
    chunk_rows: int
    seed: int


def partial_files(folder: Path, ask: Ask) -> list[Path]:
    """Return the partial files of ``ask``, of all processes."""
    path = folder / ask.file
    return sorted(path.parent.glob(f"{path.stem}.partial*.jsonl"))


def read_answers(folder: Path, ask: Ask) -> list[dict[str, Any]]:
    """Return the records of all partial files; another process may be writing to them."""
    return [r for path in partial_files(folder, ask) for r in read_partial(path, cut=False)]


def missing_rows(rows: Dataset, folder: Path, ask: Ask) -> list[tuple[int, tuple[str, ...]]]:
    """Return the places of rows that lack an answer, with the banks that they lack."""
    if (folder / ask.file).is_file():
        return []
    records = read_answers(folder, ask)
    skipped = {record["id"] for record in records if "skipped" in record}
    done = {(record["id"], record["question_bank"]) for record in records}
    missing = (
        (place, tuple(bank for bank in ask.banks if (row_id, bank) not in done))
        for place, row_id in enumerate(rows["id"])
        if row_id not in skipped
    )
    return [(place, banks) for place, banks in missing if banks]


def answer(
    rows: Dataset,
    folder: Path,
    ask: Ask,
    settings: AskSettings,
    generator: Callable[[], Any],
    shard: Shard,
) -> None:
    """Ask what is missing of a shard, saving after each chunk.

    Args:
        rows: From ``eval_images.open_rows``.
        folder: Of the evaluation.
        ask: What is asked.
        settings: How.
        generator: Starts the engine, or gives the one that is there; called if it is needed.
        shard: The rows that are this process's.
    """
    path = folder / ask.file
    part = "" if shard.count == 1 else f"-{shard.index}-of-{shard.count}"
    path = path.with_name(f"{path.stem}.partial{part}.jsonl")
    read_partial(path)  # cuts off what a kill left of a last line
    todo = missing_rows(rows, folder, ask)
    todo = [(place, banks) for place, banks in todo if place % shard.count == shard.index]
    n_own = len(range(shard.index, len(rows), shard.count))
    progress = tqdm(total=n_own, initial=n_own - len(todo), desc=f"{ask.file}, images")
    for start in range(0, len(todo), settings.chunk_rows):
        chunk = todo[start : start + settings.chunk_rows]
        for records in _answer_chunk(rows, ask, settings, generator, chunk):
            append_chunk(path, records)
        progress.update(len(chunk))
    progress.close()


def _answer_chunk(
    rows: Dataset,
    ask: Ask,
    settings: AskSettings,
    generator: Callable[[], Any],
    chunk: Sequence[tuple[int, tuple[str, ...]]],
) -> Iterator[list[dict[str, Any]]]:
    """Yield the records of a chunk as they come."""
    asked: list[tuple[dict[str, Any], str]] = []
    requests: list[Request] = []
    stored = stored_rows(rows, [place for place, _ in chunk])
    for row, (_, banks) in zip(stored, chunk, strict=True):
        try:
            image, encoded = read_image(row["images"])
        except UnreadableImage as error:
            yield [{"id": row["id"], "question_bank": None, "skipped": str(error)}]
            continue
        row["size"] = image.size
        if ask.change is not None:
            image, encoded = ask.change(image, row["id"]), None
        # One image's questions stand side by side, so that they share its cached prefix.
        for bank in banks:
            row_and_bank = {"id": row["id"], "question_bank": bank}
            question = settings.prompts.question(bank, row["id"], settings.seed)
            requests.append(
                Request(
                    settings.prompts.messages(question),
                    image,
                    row_seed(row_and_bank, settings.seed),
                    ask.start,
                    encoded,
                )
            )
            asked.append((row, bank))
    if not requests:
        return
    answers = generator().stream(
        requests,
        num_generations=ask.num_samples or 1,
        temperature=settings.temperature if ask.num_samples else 0.0,
        max_completion_length=settings.max_completion_length,
        score_verdicts=settings.score_verdicts and not ask.num_samples,
    )
    for batch in answers:
        yield [_record(*asked[i], ask, requests[i], found) for i, found in batch]


def _record(
    row: dict[str, Any], bank: str, ask: Ask, request: Request, found: list[Generated] | str
) -> dict[str, Any]:
    """Return what is kept of one request: its answers, or why there are none."""
    if isinstance(found, str):
        return {"id": row["id"], "question_bank": bank, "skipped": found}
    n_prompt_tokens = found[0].n_prompt_tokens
    if ask.num_samples:
        return {
            "id": row["id"],
            "question_bank": bank,
            "label": row["label"],
            "completions": [sample.text for sample in found],
            "n_completion_tokens": [sample.n_tokens for sample in found],
            "n_prompt_tokens": n_prompt_tokens,
        }
    gold = row.get("completion") or [{"content": ""}]
    prediction = Prediction(
        id=row["id"],
        label=row["label"],
        question_bank=bank,
        completion=found[0].text,
        n_completion_tokens=found[0].n_tokens,
        source=row.get("source"),
        generator=row.get("generator"),
        category=row.get("category"),
        question=request.prompt[-1]["content"],
        p_fake=found[0].p_fake,
        width=row["size"][0],
        height=row["size"][1],
        reference=parse_answer(gold[-1]["content"]).reasoning or None,
    )
    return {**vars(prediction), "n_prompt_tokens": n_prompt_tokens}


def finish(rows: Dataset, folder: Path, ask: Ask) -> None:
    """Write the whole file of ``ask``, with the rows that were left out in ``skipped.jsonl``.

    Raises:
        UserError: No row is left.
    """
    path = folder / ask.file
    if not path.is_file():
        records = read_answers(folder, ask)
        reasons = {r["id"]: r["skipped"] for r in records if "skipped" in r}
        list_skipped(folder / "skipped.jsonl", reasons)
        by_key = {(record["id"], record["question_bank"]): record for record in records}
        kept = [row_id for row_id in rows["id"] if row_id not in reasons]
        if not kept:
            raise UserError(
                f"none of the {len(rows)} rows gave an answer (the first: "
                f"{next(iter(reasons.values()))}); {folder / 'skipped.jsonl'} lists them all. "
                "Build the data set again, with its images, or ask another model, and pass "
                "--restart true."
            )
        ordered = (by_key[row_id, bank] for row_id in kept for bank in ask.banks)
        lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in ordered)
        write_text(path, "".join(lines))
    for partial in partial_files(folder, ask):
        partial.unlink()


def list_skipped(path: Path, reasons: dict[str, str]) -> None:
    """Add rows that were left out, with the reason, to those that ``path`` lists; say so."""
    before = {record["id"]: record["reason"] for record in read_partial(path)}
    if new := {row_id: reason for row_id, reason in reasons.items() if row_id not in before}:
        everything = {**before, **new}
        lines = (json.dumps({"id": i, "reason": r}) + "\n" for i, r in everything.items())
        write_text(path, "".join(lines))
        print(f"{len(new)} rows are left out: {next(iter(new.values()))}, …; see {path}")
