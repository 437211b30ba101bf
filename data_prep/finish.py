"""The end of a build: what was left out, the audit, and the card with all counts."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from data_prep.bank_request import BANK_FILE
from data_prep.card import (
    COUNTED_COLUMNS,
    MANIFEST_COLUMNS,
    SplitSummary,
    render_card,
    update_manifest,
)
from data_prep.plan import Plan
from data_prep.plan_rows import read_dropped
from data_prep.settings import BuildRequest
from data_prep.shards import Shard, data_file, part_file
from data_prep.sources.licences import licence_of
from rewards.errors import UserError
from rewards.files import write_json, write_text

PACKAGES = ("datasets", "pillow", "pyarrow")


def finish(building: Path, plan: Plan, shards: Sequence[Shard], request: BuildRequest) -> str:
    """Write what belongs beside the shards, all of which are there; return a line about it all.

    Raises:
        UserError: No rows are left.
        OSError: The folder cannot be written.
    """
    parts = [_part(building, shard) for shard in shards]
    n_rows = sum(part["n_rows"] for part in parts)
    reasons = write_dropped(building, plan, parts)
    if n_rows == 0:
        raise UserError(f"no rows are left: {_listed(reasons)}. See {building}/set/dropped.jsonl.")
    changes: Counter[str] = Counter()
    counts = {column: Counter[str]() for column in COUNTED_COLUMNS}
    for part in parts:
        changes.update(part["changes"])
        for column, counter in counts.items():
            counter.update(part["counts"][column])
    content = hashlib.sha256("".join(part["content"] for part in parts).encode()).hexdigest()[:16]
    summary = SplitSummary(n_rows, _manifest_hash(building, shards), counts)
    card = render_card(
        {request.settings.split: summary},
        title=request.title,
        description=request.description,
        command=request.command,
        content=content,
        licences=[licence_of(name) for name in sorted({s.name for s in request.sources})],
        notes=_notes(request, parts, changes, reasons),
    )
    record = {
        "plan_hash": plan.hash,
        "manifest_hash": summary.manifest_hash,
        "content_hash": content,
        "command": request.command,
        "n_rows": n_rows,
        "dropped": dict(reasons),
        "settings": request.settings.to_dict(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }
    if request.questions and request.bank_file:
        record["questions"] = request.questions.record()
        write_text(building / "set" / BANK_FILE, request.bank_file.read_text(encoding="utf-8"))
    write_json(building / "set" / "build.json", record)
    write_text(building / "set" / "README.md", card)
    return f"{n_rows:,} rows; left out: {_listed(reasons)}"


def write_dropped(building: Path, plan: Plan, parts: Sequence[dict[str, Any]]) -> Counter[str]:
    """Write dropped.jsonl, one line an entry that was left out; return the number by reason."""
    reasons: Counter[str] = Counter()
    temporary = building / "tmp" / "dropped.jsonl"
    with temporary.open("w", encoding="utf-8") as file:
        for entry in _all_dropped(plan, parts):
            reasons[entry["reason"]] += 1
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    temporary.replace(building / "set" / "dropped.jsonl")
    return reasons


def _all_dropped(plan: Plan, parts: Sequence[dict[str, Any]]) -> Iterator[dict[str, str]]:
    for dropped in read_dropped(plan.path):
        yield dropped._asdict()
    for part in parts:
        yield from part["dropped"]


def _part(building: Path, shard: Shard) -> dict[str, Any]:
    return json.loads(part_file(building, shard).read_text(encoding="utf-8"))


def _manifest_hash(building: Path, shards: Sequence[Shard]) -> str:
    digest = hashlib.sha256()
    for shard in shards:
        with pq.ParquetFile(data_file(building, shard)) as file:
            table = file.read(columns=list(MANIFEST_COLUMNS))
        columns = (table.column(name).to_pylist() for name in MANIFEST_COLUMNS)
        update_manifest(digest, zip(*columns, strict=True))
    return digest.hexdigest()[:16]


def _notes(
    request: BuildRequest,
    parts: Sequence[dict[str, Any]],
    changes: Counter[str],
    reasons: Counter[str],
) -> list[str]:
    settings = request.settings
    n_bytes = sum(part["n_image_bytes"] for part in parts)
    notes = [f"Check: {settings.check}; images: {settings.image_storage} ({n_bytes / 1e6:.1f} MB)."]
    if settings.unbiased:
        notes.append("GenImage as in `data_prep/unbiased.py`: same quality and crops, both labels.")
    if settings.image_storage == "path":
        notes.append("Images are named by their absolute path on the machine of the build.")
    if request.questions:
        notes.append(request.questions.told())
    notes.append(f"Written anew: {_listed(changes)}.")
    notes.append(f"Left out (`dropped.jsonl`): {_listed(reasons)}.")
    return notes


def _listed(counts: Counter[str]) -> str:
    return "; ".join(f"{name}: {n}" for name, n in sorted(counts.items())) or "nothing"
