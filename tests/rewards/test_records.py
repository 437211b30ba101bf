import json

import pytest

from rewards.errors import UserError
from rewards.records import Prediction, format_lines, read_predictions

LINE = {
    "id": "a",
    "label": "real",
    "question_bank": "simple",
    "completion": "<think></think>real",
    "n_completion_tokens": 4,
}


def without(key: str) -> dict:
    return {k: v for k, v in LINE.items() if k != key}


def as_text(*lines: dict | str) -> str:
    return "".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines)


BAD_FILES = {
    # name: (text of the file, what the message must say)
    "empty": ("", "predictions.jsonl is empty"),
    "blank lines": ("\n \n", "is empty"),
    "not JSON": (as_text(LINE, "id: a"), "line 2 is not JSON.*'id: a'"),
    "cut line": (as_text(LINE)[:-20], "line 1 is not JSON.*was the file cut"),
    "deeply nested": ("[" * 100_000, "line 1 is not JSON"),
    "not an object": (as_text("[1, 2]"), r"line 1 holds '\[1, 2\]'; expected a JSON object"),
    "no id": (as_text(without("id")), r"line 1 lacks \['id'\]"),
    "no label": (as_text(LINE, without("label")), r"line 2 lacks \['label'\]"),
    "no bank": (as_text(without("question_bank")), r"lacks \['question_bank'\]"),
    "no tokens": (as_text(without("n_completion_tokens")), r"lacks \['n_completion_tokens'\]"),
    "unknown label": (as_text({**LINE, "label": 1}), "line 1: unknown label 1.*'real', 'fake'"),
    "unknown bank": (as_text({**LINE, "question_bank": "x"}), "line 1: unknown question bank 'x'"),
    "completion null": (as_text({**LINE, "completion": None}), "completion is None"),
    "tokens negative": (as_text({**LINE, "n_completion_tokens": -1}), "expected a count"),
    "tokens NaN": (as_text({**LINE, "n_completion_tokens": float("nan")}), "expected a count"),
    "tokens true": (as_text({**LINE, "n_completion_tokens": True}), "expected a count"),
    "tokens huge": (as_text({**LINE, "n_completion_tokens": 10**40}), "expected a count"),
    "id null": (as_text({**LINE, "id": None}), "id is None"),
    "source a number": (as_text({**LINE, "source": 3}), "source is 3; expected a string or no key"),
    "same id and bank": (as_text(LINE, "", LINE), "line 3: id 'a' under bank 'simple'.* line 1"),
    "two labels": (
        as_text(LINE, {**LINE, "label": "fake", "question_bank": "hard"}),
        "line 2: id 'a' is labelled 'fake' here and 'real' before",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_is_refused_by_line(tmp_path, case):
    text, message = case
    path = tmp_path / "predictions.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_predictions(path)


def test_a_missing_file_is_refused(tmp_path):
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UserError, match="there is no predictions file"):
            read_predictions(path)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        read_predictions(path)


def test_optional_and_unknown_keys(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text(as_text(LINE, {**LINE, "id": 7, "source": "s", "category": None, "other": 1}))
    first, second = read_predictions(path)
    assert (first.source, first.generator, first.category) == (None, None, None)
    assert (second.id, second.source, second.category) == ("7", "s", None)


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "predictions.jsonl"
    completions = ["", "line\nbreak\u2028", "<think>é 写</think>fake", "\ud800"]
    predictions = [
        Prediction(str(i), "fake", "hard", completion, i, "s", "g", "c")
        for i, completion in enumerate(completions)
    ]
    path.write_text(format_lines(predictions))
    assert read_predictions(path) == predictions
