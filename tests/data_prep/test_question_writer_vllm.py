"""The question writer against vLLM: in this process, and through vLLM's own OpenAI server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

MODEL = Path(__file__).parents[2] / "recipes" / "configs" / "demo" / "base_model"
START_TIMEOUT_S = 300  # some 40 s on an idle machine


@contextmanager
def vllm_server(log: Path) -> Iterator[str]:
    """Serve the demo's base model on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(MODEL)]
    command += ["--enforce-eager", "--max-model-len", "2048", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--served-model-name", "demo", "--no-enable-chunked-prefill"]
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    settings |= {"TORCHDYNAMO_DISABLE": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | settings,
            start_new_session=True,  # with its engine and workers it is a group of its own
        )
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"the server did not start:\n{log.read_text()[-3000:]}")


def ask(questions_from: str, output_file: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "data_prep", "questions", "--bank", "hard", "--num", "3"]
    command += ["--questions_from", questions_from, "--output_file", str(output_file)]
    command += ["--max_completion_length", "64", "--max_rounds", "2", *more]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.smoke
def test_a_model_that_cannot_write_questions_is_told_and_nothing_is_lost(tmp_path):
    # The demo's model knows words for blur and grain: it answers, but never with a question.
    served, local = tmp_path / "served.yaml", tmp_path / "local.yaml"
    with vllm_server(tmp_path / "server.log") as url:
        runs = {served: ask(url, served)}
    runs[local] = ask(str(MODEL), local, "--max_model_len", "2048")
    for output_file, done in runs.items():
        assert done.returncode == 2, done.stderr[-2000:]
        message = done.stderr.strip().splitlines()[-1]
        assert message.startswith("error: after 2 rounds only 0 of 3 questions were kept")
        assert not output_file.exists()
        state = json.loads(Path(f"{output_file}.partial.json").read_text())
        assert state["n_rounds"] == 2
        lines = Path(f"{output_file}.rejected.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == state["rejected"]
        assert {line["round"] for line in state["rejected"]} == {"1", "2"}
        assert any(line["text"] for line in state["rejected"])
