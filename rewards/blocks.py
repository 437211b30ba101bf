"""A completion taken apart: what stands inside its think blocks, and what outside."""

from typing import NamedTuple

OPEN_TAG, CLOSE_TAG = "<think>", "</think>"


class Blocks(NamedTuple):
    """The two parts of a completion.

    Attributes:
        inside: What stands in the blocks, each stripped, one a line.
        outside: What is left when the blocks are taken out, stripped.
        closed: Whether every block is closed.
    """

    inside: str
    outside: str
    closed: bool


def split_blocks(text: str) -> Blocks:
    """Take ``text`` apart at its think tags, in linear time.

    A block reaches from ``<think>`` to the next ``</think>``, or to the end of the text where none
    follows. Within a block another ``<think>`` is text, outside of one a ``</think>`` is text, and
    so are tags in upper case.
    """
    inside, outside = [], []
    position = 0
    closed = True
    while closed and (start := text.find(OPEN_TAG, position)) >= 0:
        outside.append(text[position:start])
        start += len(OPEN_TAG)
        end = text.find(CLOSE_TAG, start)
        closed = end >= 0
        position = end + len(CLOSE_TAG) if closed else len(text)
        inside.append(text[start : end if closed else len(text)].strip())
    outside.append(text[position:])
    # Joined by a space, so that "re<think></think>al" does not become a word.
    return Blocks("\n".join(filter(None, inside)), " ".join(outside).strip(), closed)
