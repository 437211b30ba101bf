"""How much of a text repeats itself."""

import re

_WORD = re.compile(r"\w+")
N_WORDS = 3  # words of a window: shorter ones repeat in ordinary prose ("of the", "the image")


def repeated_share(text: str) -> float:
    """Return the share of a text's word trigrams that stood there before, 0 to below 1.

    One minus distinct over all ("rep-n" of Welleck et al., arXiv:1908.04319), on lower-case words:
    a sentence said twice has at most 0.5, a loop goes to 1. 0.0 for a text of fewer words than a
    window has.
    """
    words = _WORD.findall(text.lower())
    windows = list(zip(*(words[start:] for start in range(N_WORDS)), strict=False))
    return 1.0 - len(set(windows)) / len(windows) if windows else 0.0
