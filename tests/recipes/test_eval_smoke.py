"""The evaluation on real engines: two processes, killed on the way, and vLLM's own server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rewards import score_completion
from rewards.records import Prediction, read_predictions
from tests.recipes.test_pipeline import CONFIGS, ROOT, run_command

pytestmark = pytest.mark.smoke
N_ROWS = 12
ENVIRONMENT = {
    **os.environ,
    "HF_HUB_OFFLINE": "1",
    "PYTHONPATH": str(ROOT),
    "TORCHDYNAMO_DISABLE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
}


def eval_words(folder: Path, out: Path, *further: str) -> list[str]:
    words = ["-m", "recipes.eval", "--config", str(CONFIGS / "eval.yaml")]
    words += ["--dataset_name", str(folder / "data" / "test"), "--output_dir", str(out)]
    return [*words, "--max_rows", str(N_ROWS), "--chunk_rows", "3", *further]


def wait_for(condition, process: subprocess.Popen, seconds: float = 300.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the process ended"
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def evaluated(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Evaluate with two engines, all killed at the first answers; go on; return the folder."""
    out = tmp_path_factory.mktemp("evaluated") / "out"
    further = ["--model_name_or_path", str(folder / "run" / "sft"), "--num_shards", "2"]
    words = eval_words(folder, out, *further)
    killed = subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env=ENVIRONMENT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: any(p.stat().st_size for p in out.glob("*.partial-*")), killed)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (out / "predictions.jsonl").exists()
    # One process finishes what two began, and asks with the mode forced besides.
    printed = run_command([*words[:-2], "--forced_modes", "true"])
    assert "'predictions.jsonl': 24" not in printed, "what was answered before was asked again"
    return out


def test_every_question_is_answered_once(evaluated: Path) -> None:
    predictions = read_predictions(evaluated / "predictions.jsonl")
    assert len(predictions) == 2 * N_ROWS
    assert [p.question_bank for p in predictions] == ["simple", "hard"] * N_ROWS
    assert not list(evaluated.glob("*partial*"))
    assert pq.read_table(evaluated / "thumbnails.parquet").num_rows == N_ROWS
    usage = json.loads((evaluated / "usage.json").read_text())["predictions.jsonl"]
    tokens = sum(p.n_completion_tokens for p in predictions)
    assert usage["n_completion_tokens"] == tokens
    assert usage["n_prompt_tokens"] > 100 * 2 * N_ROWS  # system prompt, image and question


def verdict(prediction: Prediction) -> str | None:
    return score_completion(prediction.completion, prediction.label).verdict


def test_score_is_above_half_where_the_greedy_verdict_is_fake(evaluated: Path) -> None:
    files = ("predictions.jsonl", "forced_direct.jsonl", "forced_think.jsonl")
    for predictions in (read_predictions(evaluated / name) for name in files):
        for p in predictions:
            assert (p.p_fake is None) == (verdict(p) is None)
            assert p.p_fake is None or (p.p_fake > 0.5) == (verdict(p) == "fake")
        assert any(p.p_fake is not None for p in predictions)


def test_forced_completions_begin_as_told(evaluated: Path) -> None:
    for mode, start in (("direct", "<think></think>"), ("think", "<think>\n")):
        forced = read_predictions(evaluated / f"forced_{mode}.jsonl")
        assert len(forced) == 2 * N_ROWS
        assert all(p.completion.startswith(start) for p in forced)
        assert min(p.n_completion_tokens for p in forced) > 3


def test_free_and_forced_answers_of_one_form_are_the_same(evaluated: Path) -> None:
    """What is put into the model's mouth is split into tokens as the model itself says it."""
    free = {(p.id, p.question_bank): p for p in read_predictions(evaluated / "predictions.jsonl")}
    pairs = [
        (forced, free[forced.id, forced.question_bank])
        for mode in ("direct", "think")
        for forced in read_predictions(evaluated / f"forced_{mode}.jsonl")
    ]
    starts = {"<think></think>", "<think>\n"}
    same_form = [
        (a, b)
        for a, b in pairs
        if any(map(b.completion.startswith, starts)) and a.completion[:8] == b.completion[:8]
    ]
    assert same_form
    for forced, own in same_form:
        assert forced.completion == own.completion
        assert forced.n_completion_tokens == own.n_completion_tokens


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start vLLM's OpenAI server with the demo's SFT model; return its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "vllm.entrypoints.openai.api_server", "--model", str(folder / "run" / "sft")]
    words += ["--served-model-name", "detector", "--host", "127.0.0.1", "--port", str(port)]
    words += ["--enforce-eager", "--max-model-len", "512", "--dtype", "float32"]
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *words],
            env=ENVIRONMENT,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return True
        except OSError:
            return False

    try:
        wait_for(answers, process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def test_vllms_server_gives_what_the_engine_gives(
    folder: Path, evaluated: Path, server: str, tmp_path: Path
) -> None:
    further = ["--model_name_or_path", "detector", "--endpoint", server, "--concurrency", "4"]
    run_command(eval_words(folder, tmp_path / "out", *further))
    ours = read_predictions(evaluated / "predictions.jsonl")
    theirs = read_predictions(tmp_path / "out" / "predictions.jsonl")
    assert [(p.id, p.question_bank) for p in theirs] == [(p.id, p.question_bank) for p in ours]
    same = [(a, b) for a, b in zip(ours, theirs, strict=True) if a.completion == b.completion]
    assert len(same) >= 0.9 * len(ours)  # batches differ, and float32 sums with them
    for a, b in same:
        assert a.n_completion_tokens == b.n_completion_tokens
        assert (a.p_fake is None) == (b.p_fake is None)
        assert a.p_fake is None or b.p_fake == pytest.approx(a.p_fake, abs=0.02)
    n_prompt_tokens = [
        json.loads((run / "usage.json").read_text())["predictions.jsonl"]["n_prompt_tokens"]
        for run in (evaluated, tmp_path / "out")
    ]
    assert n_prompt_tokens[0] == n_prompt_tokens[1]
