"""False accepts come first: a wrong answer that passes is rewarded, and nobody sees it."""

import time

import pytest

from rewards import LABELS, ParsedAnswer, parse_answer, render_answer
from rewards.errors import UserError

NOT_WELL_FORMED = {
    "empty": "",
    "white space": " \n\t ",
    "verdict alone": "fake",
    "no verdict": "<think></think>",
    "never opened": "</think>fake",
    "never closed": "<think>fake",
    "closed before opened": "</think><think>fake",
    "open tag twice": "<think><think></think>fake",
    "close tag twice": "<think></think></think>fake",
    "nested": "<think>a<think>b</think>c</think>fake",
    "two blocks": "<think></think><think></think>fake",
    "block after the verdict": "<think></think>fake<think></think>",
    "block only after the verdict": "fake<think></think>",
    "upper-case tags": "<THINK></THINK>fake",
    "upper-case close tag": "<think></THINK>fake",
    "spaced tag": "< think></think>fake",
    "text before": "Well: <think></think>fake",
    "text before the verdict": "<think></think>It is fake",
    "text after": "<think></think>fake because of the edges",
    "text after, next line": "<think></think>fake\nThe edges repeat.",
    "both verdicts": "<think></think>real fake",
    "hedge": "<think></think>real or fake",
    "verdict twice": "<think></think>fake fake",
    "two full stops": "<think></think>fake..",
    "spaced full stop": "<think></think>fake .",
    "exclamation mark": "<think></think>fake!",
    "quoted": '<think></think>"fake"',
    "bold": "<think></think>**fake**",
    "negated": "<think></think>not real",
    "longer word": "<think></think>fakes",
    "cut word": "<think></think>fak",
    "other word": "<think></think>synthetic",
    "chat token left in": "<think></think>fake<|im_end|>",
}

WELL_FORMED = {
    "direct": ("<think></think>real", ParsedAnswer("real", "", True)),
    "the system prompt's direct form": (
        "<think>\n\n</think>\nfake",
        ParsedAnswer("fake", "", True),
    ),
    "reasoning": ("<think>\nEdges.\n</think>fake", ParsedAnswer("fake", "Edges.", True)),
    "two line breaks": ("<think>x</think>\n\nreal", ParsedAnswer("real", "x", True)),
    "any case": ("<think></think>FaKe", ParsedAnswer("fake", "", True)),
    "full stop": ("<think></think>Real.", ParsedAnswer("real", "", True)),
    "white space around": ("\n <think></think>real \n", ParsedAnswer("real", "", True)),
    "verdicts in the reasoning": (
        "<think>real? fake? not real.</think>fake",
        ParsedAnswer("fake", "real? fake? not real.", True),
    ),
    "other tags in the reasoning": (
        "<think><b>THINK</b></THINK></think>fake",
        ParsedAnswer("fake", "<b>THINK</b></THINK>", True),
    ),
}

FREE_TEXT = {
    # (text, verdict): none of these is well-formed
    "label only in the reasoning": ("<think>It is fake.</think>", None),
    "label only in the reasoning, other word after": ("<think>fake</think>dunno", None),
    "never closed": ("<think>It is fake", None),
    "never closed, verdict before": ("fake <think>", None),
    "second block never closed": ("<think></think>fake<think>but", None),
    "glued by the block": ("re<think></think>al", None),
    "negated across the block": ("not <think></think>real", None),
    "different verdicts around the block": ("real<think></think>fake", None),
    "verdict of the block in upper-case tags": ("<THINK>real</THINK>fake", None),
    "reasoning whose open tag is missing": ("It looks real. </think>fake", None),
    "verdict before the block": ("fake<think>x</think>", "fake"),
    "two blocks": ("<think>real</think><think>real</think>fake", "fake"),
    "open tag twice": ("<think><think>real</think>fake", "fake"),
    "close tag twice": ("<think>real</think></think>fake", "fake"),
    "sentence after the block": ("<think>real</think>The image is fake.", "fake"),
    "no tags": ("The image is fake because the edges repeat.", "fake"),
    "the same verdict twice": ("Fake. Yes, it is fake.", "fake"),
}


def cases(table: dict):
    return pytest.mark.parametrize("case", table.values(), ids=table.keys())


@cases(NOT_WELL_FORMED)
def test_what_is_not_exactly_the_format_is_not_well_formed(case):
    assert not parse_answer(case).well_formed


@cases(FREE_TEXT)
def test_verdict_is_read_outside_of_the_block(case):
    text, verdict = case
    parsed = parse_answer(text)
    assert parsed.verdict == verdict
    assert not parsed.well_formed


@cases(WELL_FORMED)
def test_well_formed_answers_are_read(case):
    text, expected = case
    assert parse_answer(text) == expected


@pytest.mark.parametrize(
    ("text", "reasoning"),
    [
        ("<think> a \n</think>fake", "a"),
        ("<think>a</think> so <think>b</think>fake", "a\nb"),
        ("<think>cut in the mid", "cut in the mid"),
        ("no block", ""),
    ],
)
def test_reasoning_is_what_the_blocks_hold(text, reasoning):
    assert parse_answer(text).reasoning == reasoning


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("reasoning", ["", "Edges.", " two\nlines ", "it is not real, it is fake"])
def test_parse_reads_back_what_render_writes(label, reasoning):
    rendered = render_answer(label, reasoning)
    assert parse_answer(rendered) == ParsedAnswer(label, reasoning.strip(), True)


def test_render_writes_the_paper_s_two_forms():
    assert render_answer("real") == "<think></think>real"
    assert render_answer("fake", "R") == "<think>\nR\n</think>fake"


@pytest.mark.parametrize(
    ("label", "reasoning", "message"),
    [
        ("Real", "", "unknown label 'Real'.*'real', 'fake'"),
        (1, "", "unknown label 1"),
        ("real", "a</think>b", "think tag"),
    ],
)
def test_render_refuses_what_could_not_be_read_back(label, reasoning, message):
    with pytest.raises(UserError, match=message):
        render_answer(label, reasoning)


HOSTILE = {
    "open tags": "<think>",
    "blocks": "<think></think>",
    "close tags": "</think>",
    "half tags": "<think",
    "brackets": "<",
    "spaces": " ",
    "line breaks": "\n",
    "line breaks and spaces": "\n ",
    "verdict glued": "real",
    "verdicts": "real ",
    "negations": "not ",
    "negations and verdicts": "fake? not ",
    "words": "a ",
    "words and commas": "a,",
    "apostrophes": "a'",
    "hyphens": "a-",
    "underscores": "_",
    "full stops": ".",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("frame", ["{}", "<think></think>{}real", "<think>{}</think>real"])
def test_a_megabyte_of_hostile_text_is_read_in_linear_time(unit, frame):
    text = frame.format(unit * (1_000_000 // len(unit)))
    start = time.process_time()
    parse_answer(text)
    # About 0.3 s at worst; quadratic time would be minutes.
    assert time.process_time() - start < 3
