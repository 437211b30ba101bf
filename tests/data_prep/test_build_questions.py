"""Builds whose questions a language model writes first: bank file, record, resuming, errors."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_prep.__main__ import run
from data_prep.prompts import load_prompts
from rewards.errors import UserError
from tests.data_prep.endpoint_stub import serve
from tests.data_prep.test_build import files_of, rows_of
from tests.data_prep.trees import make_fakeclue, make_genimage

SIMPLE = ["Is this photograph genuine or synthetic?", "Was the scene captured by a camera?"]
HARD = [
    "Examine the lighting and the textures, then explain whether this photograph is genuine.",
    "Describe step by step which details show that the scene is synthetic or genuine.",
]
BANKS = {"simple": SIMPLE, "hard": HARD}
ANSWERS = ["\n".join(SIMPLE), "\n".join(HARD)]


def options(tmp_path: Path, url: str, *more: str, command: str = "rl") -> list[str]:
    root = tmp_path / "fakeclue"
    if not root.exists():
        make_fakeclue(root)
    asked = ["--questions_from", url, "--num_questions", "2", "--no-audit", "--num_proc", "1"]
    out = str(tmp_path / "out")
    return [command, "--fakeclue", str(root), "--output_dir", out, *asked, *more]


def left_overs(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("."))


@pytest.mark.parametrize("command", ["sft", "rl"])
def test_rows_are_asked_from_the_extended_banks_which_the_folder_holds(tmp_path, command):
    with serve(ANSWERS) as endpoint:
        argv = options(tmp_path, endpoint.url, "--genimage", str(tmp_path / "genimage"))
        if command == "rl":
            argv = options(tmp_path, endpoint.url)
        else:
            make_genimage(tmp_path / "genimage")
        run([command, *argv[1:]])
    banks, before = load_prompts(tmp_path / "out" / "prompts.yaml"), load_prompts()
    assert banks.simple == (*before.simple, *SIMPLE)
    assert banks.hard == (*before.hard, *HARD)
    for row in rows_of(tmp_path / "out").values():
        assert row["question"] == banks.question(row["question_bank"], row["id"], 0)
    assert left_overs(tmp_path) == []


def test_card_and_record_say_who_wrote_the_questions(tmp_path):
    with serve(ANSWERS) as endpoint:
        run(options(tmp_path, endpoint.url))
        url = endpoint.url
    record = json.loads((tmp_path / "out" / "build.json").read_text())
    assert record["questions"]["questions_from"] == url
    assert record["questions"]["num_questions"] == 2
    assert SIMPLE[0] in record["settings"]["prompts"]["simple"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"Questions: 2 more in the simple and the hard bank, written by {url}" in card
    assert f"--questions_from {url}" in card


def test_one_bank_alone_can_be_extended(tmp_path):
    with serve(ANSWERS[1:]) as endpoint:
        run(options(tmp_path, endpoint.url, "--question_banks", "hard"))
        assert len(endpoint.requests) == 1
    banks = load_prompts(tmp_path / "out" / "prompts.yaml")
    assert (len(banks.simple), banks.hard[-2:]) == (len(load_prompts().simple), tuple(HARD))


def test_the_finished_set_is_not_asked_for_again(tmp_path, capsys):
    with serve(ANSWERS) as endpoint:
        run(options(tmp_path, endpoint.url))
        run(options(tmp_path, endpoint.url))
        assert len(endpoint.requests) == 2
    assert "nothing to do" in capsys.readouterr().out


def test_a_build_killed_while_it_asks_keeps_what_it_has(tmp_path):
    with serve([ANSWERS[0], 60.0]) as endpoint:
        argv = options(tmp_path, endpoint.url)
        with subprocess.Popen([sys.executable, "-m", "data_prep", *argv]) as process:
            while len(endpoint.requests) < 2 and process.poll() is None:
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert left_overs(tmp_path) == [".out.questions"]
        endpoint.answers.append(ANSWERS[1])
        run(argv)
        texts = [request["messages"][1]["content"] for request in endpoint.requests]
        assert len(texts) == 3  # the simple bank was asked for once
        assert texts[1] == texts[2]
        killed = files_of(tmp_path / "out")
        shutil.rmtree(tmp_path / "out")
        endpoint.answers += ANSWERS
        run(argv)
        assert files_of(tmp_path / "out") == killed  # the bytes of an undisturbed run


def test_a_build_that_fails_after_the_questions_keeps_them(tmp_path):
    with serve(ANSWERS) as endpoint:
        argv = options(tmp_path, endpoint.url)
        wrong = [word if word != str(tmp_path / "fakeclue") else "/nowhere" for word in argv]
        with pytest.raises(UserError, match="nowhere"):
            run(wrong)
        run(argv)
        assert len(endpoint.requests) == 2


def test_questions_of_another_request_are_not_taken(tmp_path):
    with serve([ANSWERS[0], 403]) as endpoint:
        with pytest.raises(UserError, match="PermissionDeniedError"):
            run(options(tmp_path, endpoint.url))
        with pytest.raises(UserError, match=r"another num_questions.*--overwrite"):
            run(options(tmp_path, endpoint.url, "--num_questions", "1"))
        endpoint.answers += ANSWERS
        run(options(tmp_path, endpoint.url, "--num_questions", "1", "--overwrite"))
    assert load_prompts(tmp_path / "out" / "prompts.yaml").hard[-1] == HARD[0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--num_questions", "3"], "--num_questions needs --questions_from"),
        (["--questions_from", "./no", "--num_questions", "0"], "--num_questions is 0"),
        (["--questions_from", "./no"], r"no model at \./no"),
        (["--questions_from", "http://127.0.0.1:9/v1"], "APIConnectionError.*Check the address"),
    ],
    ids=["no-model", "no-questions", "no-such-model", "no-server"],
)
def test_what_cannot_serve_is_said(tmp_path, more, message):
    make_fakeclue(tmp_path / "fakeclue")
    argv = ["rl", "--fakeclue", str(tmp_path / "fakeclue"), "--output_dir", str(tmp_path / "out")]
    with pytest.raises(UserError, match=message):
        run([*argv, *more])
    assert not (tmp_path / "out").exists()
