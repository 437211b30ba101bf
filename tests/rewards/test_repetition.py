import pytest

from rewards.repetition import repeated_share, repeats

PROSE = (
    "The light falls from the left on the face, while the shadow of the nose points to the left as "
    "well. The texture of the skin is smooth in a way that no camera shows, and the hair ends in "
    "strands that join the collar. In the background two windows share one frame. Taken together, "
    "these marks suggest that the picture was generated."
)
REPEATING = {
    "one word": "The image is fake " + "fake " * 60,
    "one phrase": PROSE + " and so on" * 60,
    "one sentence": "<think>" + "The shadow of the chair points to the left of the lamp. " * 4,
    "the reasoning again": f"<think>{PROSE}</think>{PROSE} fake",
    "upper and lower case": "The edges look too soft to be real. THE EDGES LOOK TOO SOFT TO BE REAL. "
    "the edges look too soft to be real.",
    "one letter": "a" * 1000,
    "one mark": "fake" + "!" * 200,
    "no spaces": "这张图片是假的" * 20,
    "a table's rule": "|---" * 40,
}
NOT_REPEATING = {
    "nothing": "",
    "direct": "<think></think>fake",
    "prose": PROSE,
    "one sentence twice in a longer text": f"{PROSE} In the background two windows share one frame.",
    "a list": "".join(f"\n- the {part} looks soft" for part in ("hair", "ear", "hand", "sky", "eye")),
    "numbers": " ".join(map(str, range(300))),
    "a short echo": "fake fake fake",
}


@pytest.mark.parametrize("text", REPEATING.values(), ids=REPEATING.keys())
def test_repeated_segments_are_found(text):
    assert repeats(text)


@pytest.mark.parametrize("text", NOT_REPEATING.values(), ids=NOT_REPEATING.keys())
def test_prose_is_not_taken_for_a_loop(text):
    assert not repeats(text)


def test_the_share_by_hand():
    # "a b c d e f g h" twice: 16 words, of which the second 8 are a copy
    assert repeated_share("a b c d e f g h " * 2) == 8 / 16
    # ten words, the first one again and again: nine are a copy of what stands before
    assert repeated_share("x " * 10) == 9 / 10


def test_a_megabyte_takes_no_more_than_linear_time():
    assert repeated_share("fake " * 200_000) > 0.99
