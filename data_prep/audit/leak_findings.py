"""What duplicates mean, in sentences, with the rows to look at."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from data_prep.audit.corpus import Corpus
from data_prep.audit.findings import FINE, NOTICE, WARNING, Example, Finding, plural, share
from data_prep.audit.groups import Groups
from data_prep.audit.leaks import EXACT, NEAR, Leak, group_examples

N_EXAMPLES = 6
ROWS_OF_A_GROUP = 6


def leak_findings(
    corpus: Corpus, groups: Groups, summary: dict[str, Any], leaks: list[Leak]
) -> Iterator[Finding]:
    """Yield what duplicates there are: between parts, between labels, within a part."""
    yield from _between_parts(corpus, groups, summary, leaks)
    yield from _between_labels(corpus, groups, summary)
    yield from _between_collections(summary)
    yield from _within(corpus, groups, summary)
    if summary["n_flat"] or summary["n_crowded"]:
        yield Finding(
            NOTICE,
            f"{plural(summary['n_flat'], 'picture')} with a near hash too flat to be compared",
            "Black frames, blank pages and the like have no structure that tells one from another. "
            "They count as duplicates only where every pixel is equal. "
            + (
                f"{plural(summary['n_crowded'], 'picture')} share a perceptual hash with so many "
                "others that not every pair was compared."
                if summary["n_crowded"]
                else ""
            ),
        )


def _between_parts(
    corpus: Corpus, groups: Groups, summary: dict[str, Any], leaks: list[Leak]
) -> Iterator[Finding]:
    if len(corpus.parts) < 2:
        return
    shared = [entry for entry in summary["between_parts"] if entry[EXACT] + entry[NEAR]]
    if not shared:
        yield Finding(
            FINE,
            f"No picture is in two of {', '.join(corpus.parts)}",
            "Neither with equal pixels nor as a near duplicate.",
        )
        return
    shown: dict[int, Leak] = {}
    for leak in leaks:
        shown.setdefault(int(groups.group[leak.row]), leak)
    examples = tuple(
        Example(_kind_title(leak.kind), (leak.row, leak.other))
        for kind in (EXACT, NEAR)
        for leak in _spaced([leak for leak in shown.values() if leak.kind == kind])
    )
    told = "; ".join(
        f"{e['part']}: {plural(e[EXACT], 'row')} with equal pixels and {e[NEAR]:,} near duplicates "
        f"of pictures in {e['other']} ({share(e[EXACT] + e[NEAR], e['n_rows'])} of its rows)"
        for e in shared
    )
    yield Finding(
        WARNING,
        f"{plural(len(leaks), 'training row')} of {corpus.folders[0].name} show a picture that "
        "another part holds",
        f"{told}. A model scored on pictures it was trained on is scored too well. Each row is in "
        "leaks.jsonl; a build with --drop_leaks leaves them out of the training side.",
        examples,
    )


def _spaced(leaks: list[Leak]) -> list[Leak]:
    """Return some of ``leaks`` from all over the set; neighbours are often of one scene."""
    n = min(N_EXAMPLES // 2, len(leaks))
    return [leaks[i] for i in np.linspace(0, len(leaks) - 1, n).astype(int)] if n else []


def _kind_title(kind: str) -> str:
    return "equal pixels" if kind == EXACT else "near duplicates"


def _mixed(corpus: Corpus, number: np.ndarray) -> np.ndarray:
    """Return whether each group holds both labels."""
    n = int(number.max()) + 1
    n_fake = np.bincount(number, weights=corpus.is_fake, minlength=n)
    return (n_fake > 0) & (n_fake < np.bincount(number, minlength=n))


def _examples(corpus: Corpus, number: np.ndarray, wanted: np.ndarray) -> tuple[Example, ...]:
    size = np.bincount(number, minlength=len(wanted))
    return tuple(
        Example(f"{plural(int(size[number[rows[0]]]), 'row')}", tuple(rows.tolist()))
        for rows in group_examples(corpus, number, wanted, N_EXAMPLES, ROWS_OF_A_GROUP)
    )


def _between_labels(corpus: Corpus, groups: Groups, summary: dict[str, Any]) -> Iterator[Finding]:
    exact, near = (summary["between_labels"][kind]["n_groups"] for kind in (EXACT, NEAR))
    conflict = _mixed(corpus, groups.picture)
    if exact:
        yield Finding(
            WARNING,
            f"{plural(exact, 'picture')} with equal pixels labelled both real and fake",
            "One of the two labels is wrong for each.",
            _examples(corpus, groups.picture, conflict),
        )
    if near > exact:
        only_near = _mixed(corpus, groups.group)
        only_near[groups.group[conflict[groups.picture]]] = False
        yield Finding(
            NOTICE,
            f"{plural(near - exact, 'group')} of near duplicates with real and fake images",
            "Where a fake is made from the very photograph (re-synthesis, editing, a swapped face) "
            "this is so by construction, and a fair task: only what the generator changed tells "
            "them apart. Elsewhere look whether a label is wrong.",
            _examples(corpus, groups.group, only_near),
        )


def _between_collections(summary: dict[str, Any]) -> Iterator[Finding]:
    for entry in summary["between_collections"]:
        if entry["origin"] < entry["other"]:
            yield Finding(
                WARNING,
                f"{plural(entry[EXACT] + entry[NEAR], 'row')} of {entry['origin']} also in "
                f"{entry['other']}",
                f"{entry[EXACT]:,} with equal pixels, {entry[NEAR]:,} as near duplicates, of "
                f"{plural(entry['n_rows'], 'row')}: two collections share material, which then "
                "counts twice in training.",
            )


def _within(corpus: Corpus, groups: Groups, summary: dict[str, Any]) -> Iterator[Finding]:
    for part, entry in enumerate(summary["within"]):
        if corpus.part_sets[part] != 0:
            continue
        inside = corpus.part_number == part
        for kind, number in ((EXACT, groups.picture), (NEAR, groups.group)):
            n_surplus = entry[kind]["n_surplus_rows"] - (
                entry[EXACT]["n_surplus_rows"] if kind == NEAR else 0
            )
            if n_surplus == 0:
                continue
            n_fake = np.bincount(number, weights=inside & corpus.is_fake)
            n_real = np.bincount(number, weights=inside & ~corpus.is_fake)
            wanted = np.maximum(n_fake, n_real) > 1
            yield Finding(
                NOTICE,
                f"{entry['part']}: {plural(n_surplus, 'row')} that repeat a picture of the same "
                f"split ({_kind_title(kind)})",
                f"{share(n_surplus, entry['n_rows'])} of its rows, in "
                f"{plural(entry[kind]['n_groups'], 'group')}; the largest has "
                f"{plural(entry[kind]['largest_group'], 'row')}. Repeated pictures weigh more in "
                "training and count more than once in a score.",
                _examples(corpus, np.where(inside, number, number.max() + 1), _padded(wanted)),
            )


def _padded(wanted: np.ndarray) -> np.ndarray:
    """Add one group, of rows that are not to be shown."""
    return np.append(wanted, False)
