import numpy as np
import pytest

from rewards.consistency import KINDS, conclusion, consistency, consistency_kind
from rewards.scoring import score_completion

CONCLUSIONS = {
    # name: (reasoning, verdict it concludes)
    "last sentence": ("The edges are soft. So the image is fake.", "fake"),
    "a later sentence without one": ("The image is fake. The grain is uneven.", "fake"),
    "changes its mind": ("At first it looks real. But the hands melt, so it is fake.", "fake"),
    "by line": ("it is real\nthe grain is even", "real"),
    "negated": ("The image is not real.", None),
    "both in one sentence": ("Is it real or fake?", None),
    "other words": ("The texture is unrealistic, a deepfake.", None),
    "none": ("The grain is uneven.", None),
    "empty": ("", None),
}


@pytest.mark.parametrize("case", CONCLUSIONS.values(), ids=CONCLUSIONS.keys())
def test_conclusion(case):
    reasoning, verdict = case
    assert conclusion(reasoning) == verdict


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<think>So it is fake.</think>fake", "n_agree"),
        ("<think>So it is fake.</think>real", "n_disagree"),
        ("<think>The grain is uneven.</think>real", "n_no_conclusion"),
        ("<think>So it is fake.</think>", "n_no_verdict"),
        ("<think>So it is fake.", "n_no_verdict"),
    ],
)
def test_kind_of_a_completion(text, kind):
    assert KINDS[consistency_kind(score_completion(text, "real"))] == kind


def test_a_direct_answer_has_no_reasoning_to_agree_with():
    direct = [consistency_kind(score_completion(t, "real")) for t in ("<think></think>real", "")]
    assert consistency(np.array(direct)) == {
        "n_reasoned": 0,
        **dict.fromkeys(KINDS, 0),
        "agreement": None,
    }


def test_agreement_is_over_those_that_state_a_conclusion():
    result = consistency(np.array([0, 0, 0, 1, 2, 2, 3, -1]))
    assert result["agreement"] == 3 / 4
    assert result["n_reasoned"] == 7
