"""The data set card: README.md with the header that ``datasets`` and the hub read."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

MANIFEST_COLUMNS = ("id", "label", "question_bank", "question")
COUNTED_COLUMNS = ("label", "question_bank", "source", "generator", "category")
N_VALUES = 30  # of one column that are listed; some sets have hundreds of categories


@dataclass(frozen=True)
class SplitSummary:
    """What the card says of a split.

    Attributes:
        n_rows: Number of rows.
        manifest_hash: Of the rows' ids, labels and questions, in order.
        counts: Column to value to number of rows.
    """

    n_rows: int
    manifest_hash: str
    counts: Mapping[str, Mapping[str, int]]


def render_card(
    splits: Mapping[str, SplitSummary],
    *,
    title: str,
    description: str,
    command: str,
    content: str,
    licences: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> str:
    """Return the README.md of a data set: YAML header, description, counts, manifest hashes.

    ``datasets.load_dataset`` names its cache after the folder's name and this header alone: without
    the content's hash in it, a set built again, or another one in a folder of the same name, would
    be answered from the old cache.

    Args:
        splits: In the order of the card.
        title: Heading.
        description: Markdown: what the rows are.
        command: The command that makes this data set again.
        content: Hash of the content.
        licences: One line a source: whose terms hold.
        notes: Further lines of a list: what was changed or left out.
    """
    lines = ["---", "configs:", "- config_name: default", f"  description: content {content}"]
    lines += ["  data_files:"]
    for split in splits:
        lines += [f"  - split: {split}", f"    path: data/{split}-*.parquet"]
    lines += ["license: other"]
    if licences:
        lines += ["license_name: terms-of-the-sources"]
        lines += [f"# {line}" for line in licences]
    lines += ["task_categories:", "- image-text-to-text", "---", "", f"# {title}"]
    lines += ["", description.strip(), "", "Made by:", "", f"    {command}", ""]
    for heading, items in (("Terms of the sources", licences), ("What was done", notes)):
        if items:
            lines += [f"## {heading}", "", *(f"- {item}" for item in items), ""]
    for split, summary in splits.items():
        lines += [f"## {split}: {summary.n_rows} rows", ""]
        lines += [f"Manifest hash `{summary.manifest_hash}`.", ""]
        lines += [f"- {column}: {_listed(counts)}" for column, counts in summary.counts.items()]
        lines.append("")
    return "\n".join(lines)


def update_manifest(digest: "hashlib._Hash", rows: Iterable[Iterable[object]]) -> None:
    """Add rows, each the values of its ``MANIFEST_COLUMNS``, to a SHA-256."""
    for values in rows:
        digest.update("\x1f".join(map(str, values)).encode() + b"\n")


def _listed(counts: Mapping[str, int]) -> str:
    if len(counts) <= N_VALUES:
        return ", ".join(f"{value} {n}" for value, n in sorted(counts.items()))
    most = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:N_VALUES]
    listed = ", ".join(f"{value} {n}" for value, n in most)
    return f"{listed} and {len(counts) - N_VALUES} others"
