"""Rows that show the same picture: equal pixels, or near duplicates."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from data_prep.audit.corpus import Corpus
from data_prep.audit.fingerprints import MIN_CORRELATION, correlations, read_fingerprints
from data_prep.audit.near import near_pairs

# At most so many pictures of one perceptual hash are compared each with each: 4 x 10^8 products of
# 1,024 numbers, some ten seconds. More are compared in blocks of this size.
MAX_CROWD = 20_000
CHUNK_PAIRS = 1 << 17  # pairs whose fingerprints are multiplied at once: 1 GiB


@dataclass(frozen=True)
class Groups:
    """Which rows belong together.

    Attributes:
        picture: Number of each row's decoded pixels, int64 [n]; equal pixels, equal number. Rows
            without a readable image have numbers of their own.
        group: Number of each row's group of near duplicates, int64 [n]; equal pixels are in one
            group.
        n_pictures: How many different pictures there are.
        n_candidates: How many of them have a near hash and were decoded for a closer look.
        n_flat: How many of those are too flat to be compared (or could not be read again).
        n_crowded: How many share their hash with more than ``MAX_CROWD`` others and were therefore
            compared with ``MAX_CROWD`` of them only.
    """

    picture: np.ndarray
    group: np.ndarray
    n_pictures: int
    n_candidates: int
    n_flat: int
    n_crowded: int


def find_groups(corpus: Corpus, max_distance: int, num_proc: int) -> Groups:
    """Group the rows of ``corpus``.

    Near are two pictures whose perceptual hashes differ in at most ``max_distance`` bits and whose
    fingerprints correlate by at least ``MIN_CORRELATION``. Groups are connected components. Pairs
    with no side in the audited set are not looked for.
    """
    picture, first_rows = _pictures(corpus)
    hashes = corpus.table["perceptual_hash"].fill_null(0).to_numpy()[first_rows]
    compared = corpus.readable[first_rows]
    own = np.zeros(len(first_rows), bool)
    own[picture[corpus.set_number == 0]] = True

    values, value_of = np.unique(hashes[compared], return_inverse=True)
    pictures = np.flatnonzero(compared)  # numbers of the compared pictures
    own_values = np.zeros(len(values), bool)
    own_values[value_of[own[pictures]]] = True
    pairs = near_pairs(values, max_distance, own_values)

    crowded = (np.bincount(value_of, minlength=len(values)) > 1) & own_values
    crowded[pairs.ravel()] = True
    candidates = np.flatnonzero(crowded[value_of])
    rows = first_rows[pictures[candidates]]
    prints, has_print = read_fingerprints(corpus.places(rows), num_proc)
    n_flat = int((~has_print).sum())
    candidates, prints = candidates[has_print], prints[has_print]
    own_pairs = np.column_stack([np.flatnonzero(crowded & own_values)] * 2)
    edges, n_crowded = _confirmed(
        prints, value_of[candidates], np.concatenate([pairs, own_pairs]), len(values)
    )
    edges = pictures[candidates[edges]] if len(edges) else np.empty((0, 2), np.int64)
    component = _components(edges, len(first_rows))
    return Groups(picture, component[picture], len(first_rows), len(has_print), n_flat, n_crowded)


def _pictures(corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's picture number and each picture's first row, numbered by first row."""
    n = len(corpus.table)
    column = corpus.table["pixel_hash"].combine_chunks()
    zero = pa.scalar(bytes(16), pa.binary(16))
    column = column.fill_null(zero) if column.null_count else column
    content = np.frombuffer(column.buffers()[1], np.uint8)
    content = content[column.offset * 16 : (column.offset + n) * 16]
    keys = np.zeros((n, 3), np.uint64)
    keys[:, :2] = np.frombuffer(content.tobytes(), np.uint64).reshape(n, 2)
    unreadable = np.flatnonzero(~corpus.readable)
    keys[unreadable, 2] = unreadable + 1  # alike to nothing
    order = np.lexsort(keys.T)
    is_new = np.ones(n, bool)
    is_new[1:] = (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
    number = np.empty(n, np.int64)
    number[order] = np.cumsum(is_new) - 1
    first = np.full(int(is_new.sum()), n, np.int64)
    np.minimum.at(first, number, np.arange(n))
    by_row = np.argsort(first)
    rank = np.empty_like(by_row)
    rank[by_row] = np.arange(len(by_row))
    return rank[number], first[by_row]


def _confirmed(
    prints: np.ndarray, value_of: np.ndarray, pairs: np.ndarray, n_values: int
) -> tuple[np.ndarray, int]:
    """Return edges between fingerprints that correlate, among those with paired values.

    Args:
        prints: Fingerprints, int8 [n, SIZE].
        value_of: Number of each one's perceptual hash, int64 [n].
        pairs: Pairs of numbers to compare, [m, 2]; a number paired with itself compares the
            pictures that share it.
        n_values: How many numbers there are.

    Returns:
        Edges [k, 2], few enough to keep: a group of any size has one less than its members in each
        batch; and how many pictures were too many for one hash.
    """
    order = np.argsort(value_of, kind="stable")
    size = np.bincount(value_of, minlength=n_values)
    start = np.concatenate([[0], np.cumsum(size)[:-1]])
    n_crowded = int(size[size > MAX_CROWD].sum())
    n_pairs = size[pairs[:, 0]].astype(np.int64) * size[pairs[:, 1]]
    something = n_pairs > (pairs[:, 0] == pairs[:, 1])  # one picture is not compared with itself
    pairs, n_pairs = pairs[something], n_pairs[something]
    edges = [np.empty((0, 2), np.int64)]
    small = n_pairs <= CHUNK_PAIRS
    for chosen in _batches(pairs[small], n_pairs[small]):
        edges.append(_compare_small(prints, order, start, size, chosen))
    for first, second in pairs[~small].tolist():
        members = [order[start[v] : start[v] + size[v]] for v in (first, second)]
        edges += _compare_large(prints, *members)
    found = np.concatenate(edges)
    return found[found[:, 0] != found[:, 1]], n_crowded


def _batches(pairs: np.ndarray, n_pairs: np.ndarray) -> list[np.ndarray]:
    """Cut ``pairs`` where their sizes have summed up to ``CHUNK_PAIRS``."""
    batch = np.cumsum(n_pairs) // CHUNK_PAIRS
    cuts = np.flatnonzero(np.diff(batch)) + 1
    return np.split(pairs, cuts) if len(pairs) else []


def _compare_small(
    prints: np.ndarray, order: np.ndarray, start: np.ndarray, size: np.ndarray, pairs: np.ndarray
) -> np.ndarray:
    """Compare each with each for many pairs of small classes at once."""
    first, second = pairs.T
    n_pairs = size[first] * size[second]
    pair = np.repeat(np.arange(len(pairs)), n_pairs)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(n_pairs) - n_pairs, n_pairs)
    width = size[second][pair]
    a = order[start[first][pair] + within // np.maximum(width, 1)]
    b = order[start[second][pair] + within % np.maximum(width, 1)]
    a, b = a[a != b], b[a != b]
    if not len(a):
        return np.empty((0, 2), np.int64)
    x, y = prints[a].astype(np.float32), prints[b].astype(np.float32)
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    alike = np.einsum("ij,ij->i", x, y) >= MIN_CORRELATION * norms
    return _thinned(np.column_stack([a[alike], b[alike]]))


def _compare_large(prints: np.ndarray, first: np.ndarray, second: np.ndarray) -> list[np.ndarray]:
    """Compare two crowded classes (or one with itself), block by block."""
    edges = []
    for start in range(0, len(first), MAX_CROWD):
        members, others = (x[start : start + MAX_CROWD] for x in (first, second))
        for low in range(0, len(members), 1024):
            block = members[low : low + 1024]
            a, b = np.nonzero(correlations(prints[block], prints[others]) >= MIN_CORRELATION)
            edges.append(_thinned(np.column_stack([block[a], others[b]])))
    return edges


def _thinned(edges: np.ndarray) -> np.ndarray:
    """Return a star for each connected component of ``edges``: the same components, few edges."""
    if len(edges) < 2:
        return edges
    nodes, local = np.unique(edges, return_inverse=True)
    component = _components(local.reshape(-1, 2), len(nodes))
    _, centres = np.unique(component, return_index=True)
    stars = np.column_stack([nodes[centres[component]], nodes])
    return stars[stars[:, 0] != stars[:, 1]]


def _components(edges: np.ndarray, n_nodes: int) -> np.ndarray:
    """Return the number of each node's connected component, numbered by first node."""
    ones = np.ones(len(edges), np.int8)
    graph = coo_array((ones, (edges[:, 0], edges[:, 1])), shape=(n_nodes, n_nodes))
    _, component = connected_components(graph, directed=False)
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
