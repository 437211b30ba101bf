"""Questions from a model behind an endpoint: rounds, faults, resuming, the file that comes out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from data_prep.prompts import load_prompts
from data_prep.question_writer import QuestionRequest, render, write_questions
from rewards.errors import UserError
from tests.data_prep.endpoint_stub import serve

FIRST = """Here are three questions:
1. Is this photograph genuine or synthetic?
2. Why is this photograph fake?
3. Did an AI make this picture?"""
SECOND = """- Did an AI make this picture?
- Was the scene captured by a camera?
- Would you call this screenshot authentic?"""


def ask(endpoint, output_file, **changes):
    settings = {"bank": "simple", "questions_from": endpoint.url, "num": 3, "timeout_s": 5.0}
    return write_questions(
        QuestionRequest(**(settings | changes)), output_file, command="python -m data_prep …"
    )


def rejected(output_file: Path) -> list[dict[str, str]]:
    lines = output_file.with_name(f"{output_file.name}.rejected.jsonl").read_text()
    return [json.loads(line) for line in lines.splitlines()]


def partial(output_file: Path) -> Path:
    return output_file.with_name(f"{output_file.name}.partial.json")


@pytest.fixture
def output_file(tmp_path):
    return tmp_path / "new" / "prompts.yaml"


def test_rounds_go_on_until_there_are_enough_new_questions(output_file):
    with serve([FIRST, SECOND]) as endpoint:
        ask(endpoint, output_file)
    old, new = load_prompts(), load_prompts(output_file)
    assert new.simple == (
        *old.simple,
        "Is this photograph genuine or synthetic?",
        "Did an AI make this picture?",
        "Was the scene captured by a camera?",
    )
    assert (new.system, new.hard, new.neutral) == (old.system, old.hard, old.neutral)
    assert rejected(output_file) == [
        {
            "round": "1",
            "text": "Here are three questions:",
            "reason": "not one whole sentence",
        },
        {"round": "1", "text": "Why is this photograph fake?", "reason": "asks for reasons"},
        {"round": "2", "text": "Did an AI make this picture?", "reason": "a repetition"},
    ]
    assert sorted(path.name for path in output_file.parent.iterdir()) == [
        "prompts.yaml",
        "prompts.yaml.rejected.jsonl",
    ]


def test_the_model_is_shown_the_bank_and_what_is_kept_and_gets_another_seed(output_file):
    with serve([FIRST, SECOND]) as endpoint:
        ask(endpoint, output_file)
    first, second = endpoint.requests
    assert first["model"] == "made-up"
    text = first["messages"][1]["content"]
    assert all(question in text for question in load_prompts().simple)
    assert "Did an AI make this picture?" in second["messages"][1]["content"]
    assert first["seed"] != second["seed"]


def test_the_file_says_where_its_questions_come_from(output_file):
    with serve([FIRST, SECOND]) as endpoint:
        ask(endpoint, output_file, only_new=True)
        url = endpoint.url
    assert len(load_prompts(output_file).simple) == 3
    header = [line for line in output_file.read_text().splitlines() if line.startswith("#")]
    assert header == [
        "# Bank 'simple' replaced by 3 questions that a language model wrote.",
        f"# model: {url}",
        "# command: python -m data_prep …",
        "# rounds: 2; kept: 3; rejected: 3 "
        "(not one whole sentence 1, asks for reasons 1, a repetition 1)",
    ]


def test_the_same_seed_asks_the_same(tmp_path):
    asked = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        with serve([FIRST, SECOND]) as endpoint:
            ask(endpoint, tmp_path / name, seed=seed)
        asked.append(endpoint.requests)
    assert asked[0] == asked[1] != asked[2]
    texts = [(tmp_path / name).read_text().partition("\n\n")[2] for name in "ab"]
    assert texts[0] == texts[1]


def test_too_few_questions_end_with_counts_and_lose_nothing(output_file):
    with serve(["nonsense " * 50, "", FIRST]) as endpoint:
        with pytest.raises(UserError, match=r"after 3 rounds only 2 of 3 .*--max_rounds"):
            ask(endpoint, output_file, max_rounds=3)
        assert not output_file.exists()
        assert [line["reason"] for line in rejected(output_file)] == [
            "not 3 to 30 words",
            "an empty answer",
            "not one whole sentence",
            "asks for reasons",
        ]
        endpoint.answers.append(SECOND)
        ask(endpoint, output_file, max_rounds=4)
        assert len(endpoint.requests) == 4
    assert len(load_prompts(output_file).simple) == 11 + 3
    assert not partial(output_file).exists()


def test_a_run_that_broke_goes_on_as_if_it_had_not(tmp_path):
    with serve([FIRST, 403, SECOND]) as endpoint:
        with pytest.raises(UserError, match="PermissionDeniedError"):
            ask(endpoint, tmp_path / "broken", num=4)
        ask(endpoint, tmp_path / "broken", num=4)
        broken = [endpoint.requests[0], endpoint.requests[-1]]
        endpoint.answers += [FIRST, SECOND]
        endpoint.requests.clear()
        ask(endpoint, tmp_path / "whole", num=4)
        assert broken[0] == endpoint.requests[0]
        assert broken[1]["messages"] == endpoint.requests[1]["messages"]
        assert broken[1]["seed"] == endpoint.requests[1]["seed"]
    assert (tmp_path / "broken").read_text() == (tmp_path / "whole").read_text()


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"bank": "hard"}, {"temperature": 0.5}, {"questions_model": "other"}],
    ids=lambda changes: next(iter(changes)),
)
def test_the_state_of_another_run_is_not_mixed_in(output_file, changes):
    with serve([FIRST]) as endpoint:
        with pytest.raises(UserError, match="after 1 rounds"):
            ask(endpoint, output_file, max_rounds=1)
        with pytest.raises(UserError, match=f"another {next(iter(changes))}"):
            ask(endpoint, output_file, **changes)


def test_what_is_there_is_not_written_over(output_file):
    output_file.parent.mkdir()
    output_file.write_text("mine")
    with serve([FIRST]) as endpoint, pytest.raises(UserError, match="exists"):
        ask(endpoint, output_file)
    assert output_file.read_text() == "mine"
    output_file.unlink()
    partial(output_file).write_text("{")
    with serve([FIRST]) as endpoint, pytest.raises(UserError, match="cannot be read"):
        ask(endpoint, output_file)


@pytest.mark.parametrize("status", [429, 500, 503, 408])
def test_a_passing_failure_of_the_server_is_tried_again(output_file, status):
    with serve([status, status, FIRST, status, SECOND]) as endpoint:
        ask(endpoint, output_file)
        assert len(endpoint.requests) == 5
    assert len(load_prompts(output_file).simple) == 11 + 3


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([500] * 5, "InternalServerError"),
        ([429] * 5, "RateLimitError"),
        ([401], "Set OPENAI_API_KEY"),
        ([404], "ends with /v1"),
        ([b"<html>"], "endpoint http"),
        ([b'"text"'], "not answer in the form"),
        ([b"{}"], "not answer in the form"),
        ([b'{"choices": []}'], "not answer in the form"),
        ([0.6] * 5, "APITimeoutError"),
    ],
    ids=["500", "429", "401", "404", "html", "text", "no-choices", "empty-choices", "time-out"],
)
def test_a_failure_that_stays_is_told_and_nothing_is_written(
    output_file, answers, message, monkeypatch
):
    monkeypatch.setattr("data_prep.writer_model.MAX_RETRIES", 1)
    with serve(answers) as endpoint, pytest.raises(UserError, match=message) as error:
        ask(endpoint, output_file, timeout_s=0.1)
    assert "\n" not in str(error.value)
    assert not output_file.exists()


def test_a_refusal_counts_as_an_empty_answer(output_file):
    body = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant"}}]}).encode()
    with serve([body, FIRST, SECOND]) as endpoint:
        ask(endpoint, output_file)
    assert rejected(output_file)[0]["reason"] == "an empty answer"


def test_nobody_at_the_address_is_told(output_file, monkeypatch):
    monkeypatch.setattr("data_prep.writer_model.MAX_RETRIES", 1)
    with serve([]) as endpoint:
        pass
    with pytest.raises(UserError, match="APIConnectionError"):
        ask(endpoint, output_file, questions_model="any", max_rounds=1)


def test_a_model_is_chosen_where_there_are_several(output_file):
    with serve([FIRST, SECOND], ["one", "two"]) as endpoint:
        with pytest.raises(UserError, match=r"serves 2 models \(\['one', 'two'\]\)"):
            ask(endpoint, output_file)
        ask(endpoint, output_file, questions_model="two")
        assert endpoint.requests[0]["model"] == "two"


def test_the_newer_name_of_the_length_limit_is_used_where_the_older_is_refused(output_file):
    with serve([400, FIRST, SECOND]) as endpoint:
        ask(endpoint, output_file, max_completion_length=77)
        limits = [request.get("max_completion_tokens") for request in endpoint.requests]
    assert limits == [None, 77, 77]


@pytest.mark.parametrize("key", [None, "secret"])
def test_the_key_comes_from_the_environment_and_goes_into_no_file(output_file, monkeypatch, key):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if key:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with serve([FIRST, SECOND]) as endpoint:
        ask(endpoint, output_file)
        assert set(endpoint.keys) == {f"Bearer {key or 'none'}"}
    written = "".join(path.read_text() for path in output_file.parent.iterdir())
    assert "secret" not in written


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bank": "medium"}, "unknown question bank"),
        ({"num": 0}, "num is 0"),
        ({"questions_per_round": 0}, "questions_per_round is 0"),
        ({"prompts_file": "none.yaml"}, "does not exist"),
        ({"questions_from": "/none/model"}, "no model at /none/model"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_request_is_an_error(output_file, changes, message):
    with serve([]) as endpoint, pytest.raises(UserError, match=message):
        ask(endpoint, output_file, **changes)


def test_a_rendered_file_reads_back_as_it_was():
    prompts = load_prompts()
    text = render(prompts, ["one", "two: 3"])
    assert yaml.safe_load(text)["system"] == prompts.system
    assert text.startswith("# one\n# two: 3\n\nsystem: |-\n")


def test_the_command_line(tmp_path):
    output_file = tmp_path / "mine.yaml"
    command = [sys.executable, "-m", "data_prep", "questions", "--bank", "simple", "--num", "3"]
    command += ["--output_file", str(output_file), "--only_new", "--questions_from"]
    with serve([FIRST, SECOND]) as endpoint:
        done = subprocess.run([*command, endpoint.url], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "for 3 simple questions, in at most 8 rounds of 20" in done.stdout
        assert f"--prompts_file {output_file}" in done.stdout
    header = output_file.read_text().splitlines()[2]
    assert header == (
        f"# command: python -m data_prep questions --bank simple --questions_from {endpoint.url} "
        f"--num 3 --only_new --output_file {output_file}"
    )
