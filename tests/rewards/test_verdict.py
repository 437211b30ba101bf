import pytest

from rewards.verdict import find_verdict

WITHOUT_VERDICT = [
    "",
    "I cannot tell.",
    # other words
    "unrealistic",
    "really",
    "reality",
    "fakes",
    "faked",
    "deepfake",
    "surreal",
    "real_image",
    "real-time rendering",
    "photo-real",
    "fake-looking",
    "real’s",  # noqa: RUF001
    # both
    "real or fake",
    "It is not real, it is fake.",
    "fake, not real",
    "real/fake",
    "The shadows are fake but the image is real.",
    # negated
    "not real",
    "Not a real photograph.",
    "isn't real",
    "isn’t a real photo",  # noqa: RUF001
    "ISN'T REAL",
    "isnt real",
    "never real",
    "no real photo",
    "non real",
    "hardly real",
    "cannot be real",
    "neither real",
    "unlikely to be real",
    "not **real**",
    'not "real"',
    "not\nreal",
    "not so real",
    "It is not because it is real.",
    "does not look natural and real",
    "I do not believe that this image is real",
    "There is no indication that the image is fake.",
    "nothing in the picture suggests that it is fake",
    "too smooth to be real",
    "I doubt that it is real",
    "Is it real? No.",
    "real? Not at all.",
    # one of two is negated
    "It is real. It is not real.",
]


@pytest.mark.parametrize("text", WITHOUT_VERDICT)
def test_no_verdict_is_read_where_none_is_stated(text):
    assert find_verdict(text) is None


WITH_VERDICT = [
    ("fake", "fake"),
    ("FAKE", "fake"),
    ("(real)", "real"),
    ("**Fake**", "fake"),
    ("'real'", "real"),
    (r"\boxed{fake}", "fake"),
    ("Answer:fake", "fake"),
    ("real—no doubt", "real"),
    ("This image is fake because the shadows are unrealistic.", "fake"),
    ("The deepfake detector says fake", "fake"),
    ("Is it real? Yes.", "real"),
    # a negation of something else
    ("No, it is fake.", "fake"),
    ("No. Fake.", "fake"),
    ("No - fake", "fake"),
    ("The shadows do not match, so the image is fake.", "fake"),
    ("The shadows do not match so the image is fake", "fake"),
    ("It is fake because the shadows do not match.", "fake"),
    ("The edges are not sharp\n\nfake", "fake"),
    ("There is no sign of any change in the light or the texture: real", "real"),
    ("not only fake", "fake"),
    ("no doubt it is fake", "fake"),
    ("without a doubt fake", "fake"),
    # nine words later
    ("not one two three four five six seven eight real", "real"),
]


@pytest.mark.parametrize(("text", "verdict"), WITH_VERDICT)
def test_a_stated_verdict_is_read(text, verdict):
    assert find_verdict(text) == verdict


def test_a_negation_reaches_eight_words():
    assert find_verdict("not 1 2 3 4 5 6 7 real") is None
    assert find_verdict("not 1 2 3 4 5 6 7 8 real") == "real"
