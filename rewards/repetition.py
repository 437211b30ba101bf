"""Whether a completion repeats itself: the outputs that the paper left out of Figure 5.

"Since many outputs contained repeated segments that inflated token counts, we excluded such samples
from the manual statistics" (Sec. 4.3 of Fake-HR1). The paper gives no rule; this one is ours.
"""

import re

SEGMENT = 8  # words or marks: shorter runs recur in prose that does not loop ("in the image, the")
REPEATED_SHARE = 0.3

# Words, in pieces of at most 24 letters so that "aaaa…" has parts; each mark, and each character of
# scripts that put no spaces between words, by itself.
_TOKEN = re.compile(r"[a-z0-9_']{1,24}|[^\sa-z0-9_']")


def repeated_share(text: str) -> float:
    """Return the share of ``text`` that says again, word by word, what stands before.

    A word (or mark) counts when it lies in a segment of ``SEGMENT`` that already stood in the text,
    in any case; copies may overlap, so that "fake fake fake …" is one from its second word on. In
    time linear in the length of the text.
    """
    tokens = _TOKEN.findall(text.lower())
    segments = list(zip(*(tokens[i:] for i in range(SEGMENT)), strict=False))
    if len(set(segments)) == len(segments):
        return 0.0
    seen: set[tuple[str, ...]] = set()
    n_repeated, covered_to = 0, 0
    for start, segment in enumerate(segments):
        if segment in seen:
            n_repeated += start + SEGMENT - max(start, covered_to)
            covered_to = start + SEGMENT
        seen.add(segment)
    return n_repeated / len(tokens)


def repeats(text: str) -> bool:
    """Return whether at least ``REPEATED_SHARE`` of a completion is repeated.

    A loop that runs to the length limit is repeated nearly as a whole; an answer that says its
    reasoning twice, by almost a half. A sentence that stands twice in a longer text is not enough.
    """
    return repeated_share(text) >= REPEATED_SHARE
