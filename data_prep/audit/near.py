"""Which perceptual hashes lie near each other: exact search among millions in little memory.

By the pigeonhole principle two 64-bit hashes that differ in d bits differ in at most d // 3 bits of
one of three 21-bit blocks. faiss's ``IndexBinaryMultiHash`` looks up every block with up to that
many flipped bits, so nothing within the distance is missed (the 64th bit counts in the distance,
not in the look-up: a difference there only leaves fewer for the blocks).
"""

import faiss
import numpy as np
from tqdm import tqdm

N_BLOCKS, BLOCK_BITS = 3, 21
QUERY_ROWS = 1 << 15
# Three flips of 21 bits are 1,562 look-ups a block: from there on the search takes hours.
MAX_DISTANCE = 8


def near_pairs(
    hashes: np.ndarray, max_distance: int, queried: np.ndarray | None = None
) -> np.ndarray:
    """Return all pairs of ``hashes`` that differ in at most ``max_distance`` bits.

    Args:
        hashes: Distinct perceptual hashes, uint64 [n].
        max_distance: From 0 to ``MAX_DISTANCE``.
        queried: Only pairs with one of these, bool [n]; None for all.

    Returns:
        Positions in ``hashes``, int32 [n_pairs, 2], first < second, in order.
    """
    vectors = np.ascontiguousarray(hashes, dtype=np.uint64).view(np.uint8).reshape(-1, 8)
    if max_distance == 0 or len(vectors) < 2:
        return np.empty((0, 2), np.int32)  # distinct hashes differ
    index = faiss.IndexBinaryMultiHash(64, N_BLOCKS, BLOCK_BITS)
    index.nflip = max_distance // N_BLOCKS
    index.add(vectors)  # pyright: ignore[reportCallIssue]  (faiss's Python layer)
    wanted = np.arange(len(hashes)) if queried is None else np.flatnonzero(queried)
    found = [np.empty((0, 2), np.int32)]
    starts = range(0, len(wanted), QUERY_ROWS)
    for start in tqdm(starts, desc="searching near hashes", disable=len(starts) < 4):
        queries = wanted[start : start + QUERY_ROWS]
        # faiss takes the radius as a strict bound.
        limits, _, hits = index.range_search(vectors[queries], max_distance + 1)  # pyright: ignore
        first = np.repeat(queries, np.diff(limits.astype(np.int64)))
        pairs = np.column_stack([np.minimum(first, hits), np.maximum(first, hits)])
        found.append(pairs[first != hits].astype(np.int32))
    # A pair of two queried hashes was found from both ends.
    return np.unique(np.concatenate(found), axis=0)
