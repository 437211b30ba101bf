"""Duplicates within a set, between labels and between sets, and which training rows they cost."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.audit.corpus import Corpus
from data_prep.audit.groups import Groups
from rewards.labels import LABELS

TRAINING_SPLIT = "train"
EXACT, NEAR = "exact", "near"
REPEATED, CONTRADICTING = "repeated", "contradicting"


@dataclass(frozen=True)
class Leak:
    """A training row that should not be there.

    Attributes:
        row: Its number in the corpus.
        kind: "exact" (equal pixels) or "near": its picture is in a set that must stay unseen.
            "repeated": equal pixels are in an earlier row of its split. "contradicting": they are
            in a row of the other label.
        other: Number of the first row that shows the same picture there.
    """

    row: int
    kind: str
    other: int


class _Members:
    """Rows that share their picture (or group) with others, sorted by it."""

    def __init__(self, number: np.ndarray, corpus: Corpus) -> None:
        size = np.bincount(number)
        self.rows = np.flatnonzero(size[number] > 1)
        _, self.group = np.unique(number[self.rows], return_inverse=True)
        self.part = corpus.part_number[self.rows]
        self.fake = corpus.is_fake[self.rows]
        self.n_groups = int(self.group.max()) + 1 if len(self.rows) else 0

    def counts(self, code: np.ndarray, n_codes: int) -> np.ndarray:
        """Return how many rows of each group have each code: int64 [n_groups, n_codes]."""
        cells = np.bincount(self.group * n_codes + code, minlength=self.n_groups * n_codes)
        return cells.reshape(self.n_groups, n_codes)


def summarise(corpus: Corpus, groups: Groups) -> dict[str, Any]:
    """Return the numbers of ``audit.json``: duplicates within and between parts, and labels.

    ``exact`` counts equal pixels; ``near`` counts groups that hold more than equal pixels, so no
    row is counted twice.
    """
    kinds = {EXACT: _Members(groups.picture, corpus), NEAR: _Members(groups.group, corpus)}
    return {
        "n_rows": len(corpus.table),
        "n_unreadable": int((~corpus.readable).sum()),
        "n_pictures": groups.n_pictures,
        "n_candidates": groups.n_candidates,
        "n_flat": groups.n_flat,
        "n_crowded": groups.n_crowded,
        "within": [_within(corpus, kinds, part) for part in range(len(corpus.parts))],
        "between_labels": _between_labels(corpus, kinds),
        "between_parts": _between_parts(corpus, kinds),
        "between_collections": _between_collections(corpus, groups),
    }


def _within(corpus: Corpus, kinds: dict[str, _Members], part: int) -> dict[str, Any]:
    """Count the groups with two rows of one label in ``part``, and the rows beyond the first.

    A real image and the fake made of it repeat nothing: they are counted between labels.
    """
    result: dict[str, Any] = {
        "part": corpus.parts[part],
        "n_rows": int((corpus.part_number == part).sum()),
    }
    for kind, members in kinds.items():
        in_part = np.asarray(members.part == part)
        code = np.where(in_part, members.fake.astype(int), len(LABELS))
        by_label = members.counts(code, len(LABELS) + 1)[:, : len(LABELS)]
        several = by_label[by_label > 1]
        result[kind] = {
            "n_groups": len(several),
            "n_surplus_rows": int((several - 1).sum()),
            "largest_group": int(several.max(initial=0)),
        }
    return result


def _between_labels(corpus: Corpus, kinds: dict[str, _Members]) -> dict[str, Any]:
    """Count the groups that hold real and fake rows, and the rows of each part in them."""
    result = {}
    for kind, members in kinds.items():
        counts = members.counts(members.fake.astype(int), 2)
        mixed = (counts[:, 0] > 0) & (counts[:, 1] > 0)
        rows = members.rows[mixed[members.group]]
        by_part = np.bincount(corpus.part_number[rows], minlength=len(corpus.parts))
        result[kind] = {
            "n_groups": int(mixed.sum()),
            "n_rows": dict(zip(corpus.parts, by_part.tolist(), strict=True)),
        }
    return result


def _between_parts(corpus: Corpus, kinds: dict[str, _Members]) -> list[dict[str, Any]]:
    """Count, for two parts, the rows of the one whose picture is in the other."""
    n_parts = len(corpus.parts)
    counts = {kind: m.counts(m.part, n_parts) for kind, m in kinds.items()}
    result = []
    for first in range(n_parts):
        for second in range(n_parts):
            # Two sets that only serve as a yardstick are not compared with each other.
            both_others = corpus.part_sets[first] > 0 and corpus.part_sets[second] > 0
            if first == second or both_others:
                continue
            exact, near = (
                int(c[c[:, second] > 0, first].sum()) for c in (counts[EXACT], counts[NEAR])
            )
            part = {"part": corpus.parts[first], "other": corpus.parts[second]}
            n_rows = int((corpus.part_number == first).sum())
            result.append({**part, "n_rows": n_rows, EXACT: exact, NEAR: near - exact})
    return result


def _between_collections(corpus: Corpus, groups: Groups) -> list[dict[str, Any]]:
    """Count shared pictures between collections of one set, e.g. FakeClue's GenImage and GenImage.

    A collection is the first segment of the ids, as the readers of published sets write them.
    """
    rows = np.flatnonzero(corpus.set_number == 0)
    ids = corpus.names("id", rows)
    origin = [
        f"{row_id.split('/', 1)[0]}: {source}"
        for row_id, source in zip(ids, corpus.names("source", rows), strict=True)
        if "/" in row_id
    ]
    if len(origin) < len(rows) or len({name.split(":")[0] for name in origin}) < 2:
        return []
    names, code = np.unique(np.array(origin), return_inverse=True)
    result = []
    counts = {}
    for kind, number in ((EXACT, groups.picture[rows]), (NEAR, groups.group[rows])):
        _, group = np.unique(number, return_inverse=True)
        cells = np.bincount(group * len(names) + code, minlength=(group.max() + 1) * len(names))
        counts[kind] = cells.reshape(-1, len(names))
    for first, name in enumerate(names):
        for second, other in enumerate(names):
            if name.split(":")[0] == other.split(":")[0]:
                continue
            exact, near = (
                int(c[c[:, second] > 0, first].sum()) for c in (counts[EXACT], counts[NEAR])
            )
            if near:
                pair = {
                    "origin": str(name),
                    "other": str(other),
                    "n_rows": int((code == first).sum()),
                }
                result.append({**pair, EXACT: exact, NEAR: near - exact})
    return result


def find_leaks(corpus: Corpus, groups: Groups) -> list[Leak]:
    """Return the rows of the audited set that show a picture which training must not see.

    Every row of the audited set is on the training side of the sets it is held against. Within the
    set, rows of the split ``train`` are on the training side of the other splits.
    """
    own = corpus.set_number == 0
    names = np.array([name.rsplit("/", 1)[1] for name in corpus.parts])
    in_train = own & (names[corpus.part_number] == TRAINING_SPLIT)
    kept = {  # of each kind of training row, where its picture must not be
        "others": (own, ~own),
        "splits": (in_train, own & ~in_train),
    }
    found: dict[int, Leak] = {}
    for training, unseen in kept.values():
        for kind, number in ((EXACT, groups.picture), (NEAR, groups.group)):
            first = np.full(int(number.max()) + 1, -1, np.int64)
            unseen_rows = np.flatnonzero(unseen)[::-1]  # the lowest row is written last
            first[number[unseen_rows]] = unseen_rows
            for row in np.flatnonzero(training & (first[number] >= 0)).tolist():
                leak = Leak(row, kind, int(first[number[row]]))
                if row not in found or (found[row].kind, kind) == (NEAR, EXACT):
                    found[row] = leak
    return [found[row] for row in sorted(found)]


def find_repeats(corpus: Corpus, groups: Groups) -> list[Leak]:
    """Return the rows of the audited set whose very pixels are in its split before.

    Of a picture with both labels, every row: nobody knows which label is right. Near duplicates are
    kept: frames of one film are no fault.
    """
    own = np.flatnonzero(corpus.set_number == 0)
    key = groups.picture[own] * len(corpus.parts) + corpus.part_number[own]
    _, first, inverse, size = np.unique(
        key, return_index=True, return_inverse=True, return_counts=True
    )
    fake = corpus.is_fake[own].astype(int)
    first_of = np.full((len(size), len(LABELS)), -1, np.int64)  # by picture and label
    backwards = np.arange(len(own))[::-1]  # the earliest row is written last
    first_of[inverse[backwards], fake[backwards]] = backwards
    found = []
    for i in np.flatnonzero(size[inverse] > 1).tolist():
        contrary = first_of[inverse[i], 1 - fake[i]]
        if contrary >= 0:
            found.append(Leak(int(own[i]), CONTRADICTING, int(own[contrary])))
        elif first[inverse[i]] != i:
            found.append(Leak(int(own[i]), REPEATED, int(own[first[inverse[i]]])))
    return found


def group_examples(
    corpus: Corpus, number: np.ndarray, wanted: np.ndarray, n_groups: int, n_rows: int
) -> list[np.ndarray]:
    """Return the rows of the largest groups with wanted rows, largest first, then by first row.

    Args:
        corpus: All rows.
        number: Each row's group, int64 [n].
        wanted: Whether each group may be shown, bool [number.max() + 1].
        n_groups: Groups at most.
        n_rows: Rows of a group at most; rows of different part and label come first.
    """
    size = np.bincount(number, minlength=len(wanted)) * wanted
    shown = np.argsort(-size, kind="stable")[:n_groups]
    examples = []
    for group in shown[size[shown] > 0]:
        rows = np.flatnonzero(number == group)
        code = corpus.part_number[rows] * 2 + corpus.is_fake[rows]
        _, first = np.unique(code, return_index=True)
        rest = np.setdiff1d(np.arange(len(rows)), first)
        examples.append(rows[np.concatenate([np.sort(first), rest])[:n_rows]])
    return examples
