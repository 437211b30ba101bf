"""Endpoints: what is sent, what is kept, and servers that misbehave (on loopback, real HTTP)."""

import base64
import io
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recipes.endpoint import Endpoint, EndpointArguments, data_uri, messages
from recipes.generation import Request
from rewards.errors import UserError
from tests.recipes.conftest import small_rows
from tests.recipes.test_eval import read_lines, run_eval

Reply = tuple[int, dict[str, str], bytes]


def completion(text: str = "<think></think>fake", **changes: Any) -> Reply:
    """Return a reply with ``text``, whose last token was 0.75 "fake" against 0.25 "real"."""
    top = [{"token": t, "logprob": math.log(p)} for t, p in (("fake", 0.75), ("real", 0.25))]
    tokens = [{"token": t, "logprob": 0.0, "top_logprobs": []} for t in (text[:-4], text[-4:])]
    tokens[1] = {"token": text[-4:], "logprob": top[0]["logprob"], "top_logprobs": top}
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "logprobs": {"content": tokens}}
    usage = {"prompt_tokens": 100, "completion_tokens": 6, "total_tokens": 106}
    content = {"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage}
    return 200, {"Content-Type": "application/json"}, json.dumps(content | changes).encode()


def status(code: int, **headers: str) -> Reply:
    return code, headers, json.dumps({"error": {"message": f"status {code}"}}).encode()


class Server:
    """Answers the n-th request with ``reply(n, body)`` and notes what came."""

    def __init__(self) -> None:
        self.reply: Callable[[int, dict[str, Any]], Reply] = lambda n, body: completion()
        self.bodies: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.most_at_a_time = self._under_way = 0
        lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    number = len(server.bodies)
                    server.bodies.append(body)
                    server.times.append(time.monotonic())
                    server._under_way += 1
                    server.most_at_a_time = max(server.most_at_a_time, server._under_way)
                code, headers, content = server.reply(number, body)
                with lock:
                    server._under_way -= 1
                try:
                    self.send_response(code)
                    for name, value in {**headers, "Content-Length": len(content)}.items():
                        self.send_header(name.replace("_", "-"), str(value))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:  # the client did not wait
                    pass

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = Server()
    yield server
    server.close()


def requests(n: int) -> list[Request]:
    image = Image.new("RGB", (8, 8), (10, 20, 30))
    prompt = [{"role": "system", "content": "s"}, {"role": "user", "content": "real or fake?"}]
    return [Request(prompt, image, seed) for seed in range(n)]


def ask(url: str, n: int = 1, settings: dict[str, Any] | None = None, **options: Any) -> list:
    """Ask ``n`` questions; return the answers in the questions' order."""
    endpoint = Endpoint(EndpointArguments(endpoint=url, **{"max_retries": 1, **options}), "m")
    found = dict(a for batch in endpoint.stream(requests(n), **settings or {}) for a in batch)
    return [found[i] for i in range(n)]


def test_what_is_sent(server: Server) -> None:
    ask(server.url, settings={"score_verdicts": True, "max_completion_length": 7})
    (body,) = server.bodies
    assert body["model"] == "m"
    assert (body["temperature"], body["max_completion_tokens"]) == (0.0, 7)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 20)
    assert "seed" not in body
    system, user = body["messages"]
    assert system == {"role": "system", "content": "s"}
    assert [part["type"] for part in user["content"]] == ["image_url", "text"]
    assert user["content"][1]["text"] == "real or fake?"


def test_what_comes_back(server: Server) -> None:
    (answer,) = ask(server.url, settings={"score_verdicts": True})[0]
    assert answer.text == "<think></think>fake"
    assert (answer.n_tokens, answer.n_prompt_tokens) == (6, 100)
    assert answer.p_fake == pytest.approx(0.75)


def test_samples_have_seeds_and_token_counts_of_their_own(server: Server) -> None:
    samples = ask(server.url, settings={"num_generations": 3, "temperature": 1.0})[0]
    assert [sample.n_tokens for sample in samples] == [6, 6, 6]
    assert sorted(body["seed"] for body in server.bodies) == [0, 1, 2]


def test_images_are_sent_as_they_are() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG")
    as_file = Request([], image, 0, encoded=buffer.getvalue())
    head, _, body = data_uri(as_file).partition(",")
    assert (head, base64.b64decode(body)) == ("data:image/jpeg;base64", buffer.getvalue())
    head, _, body = data_uri(Request([], image, 0)).partition(",")
    assert head == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(body)))), pixels)


def test_reasoning_that_the_server_took_out_is_put_back(server: Server) -> None:
    message = {"role": "assistant", "content": "fake", "reasoning_content": "Soft edges.\n"}
    server.reply = lambda n, body: completion(choices=[{"index": 0, "message": message}])
    assert ask(server.url)[0][0].text == "<think>\nSoft edges.\n</think>fake"


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(status(429, Retry_After="0.2"), id="429 with Retry-After"),
        pytest.param(status(429), id="429"),
        pytest.param(status(500), id="500"),
        pytest.param(status(503), id="503"),
    ],
)
def test_a_passing_fault_is_tried_again(server: Server, first: Reply) -> None:
    server.reply = lambda n, body: first if n == 0 else completion()
    assert ask(server.url)[0][0].text == "<think></think>fake"
    assert len(server.bodies) == 2
    asked_to_wait = first[1].get("Retry_After")
    assert server.times[1] - server.times[0] >= float(asked_to_wait or 0.3)


def test_no_more_requests_at_a_time_than_allowed(server: Server) -> None:
    server.reply = lambda n, body: (time.sleep(0.02), completion())[1]
    ask(server.url, 12, concurrency=3)
    assert 1 < server.most_at_a_time <= 3


def test_rate_limit(server: Server) -> None:
    ask(server.url, 6, requests_per_minute=600)
    assert max(server.times) - min(server.times) >= 0.1 * 5 - 0.05  # 600 a minute: 0.1 s apart


def test_rate_limit_counts_every_try(server: Server) -> None:
    server.reply = lambda n, body: status(500) if n == 0 else completion()
    ask(server.url, requests_per_minute=60)
    assert server.times[1] - server.times[0] >= 0.95  # the back-off alone is 0.5 s at most


JSON, HTML = {"Content-Type": "application/json"}, {"Content-Type": "text/html"}
NONSENSE = {
    "cut JSON": (200, JSON, b'{"choices": ['),
    "a web page": (200, HTML, b"<html>login</html>"),
    "other JSON": (200, JSON, b'{"answer": 42}'),
    "a list": (200, JSON, b"[]"),
    "null": (200, JSON, b"null"),
    "no token counts": completion(usage=None),
    "no choices": completion(choices=[]),
    "no message": completion(choices=[{"index": 0}]),
}
FAULTS = [
    pytest.param(status(500), "status 500", id="always 500"),
    pytest.param(status(429), "status 429", id="always 429"),
    pytest.param(status(401), "status 401.*OPENAI_API_KEY", id="no key"),
    pytest.param(status(404), "status 404.*model's name 'm'", id="no such model"),
    *(pytest.param(reply, "something else", id=name) for name, reply in NONSENSE.items()),
]


@pytest.mark.parametrize(("reply", "message"), FAULTS)
def test_lasting_fault_is_one_clear_error(server: Server, reply: Reply, message: str) -> None:
    server.reply = lambda n, body: reply
    with pytest.raises(UserError, match=f"(?s){message}") as raised:
        ask(server.url, 3)
    assert server.url in str(raised.value)
    assert "goes on" in str(raised.value)


def test_slow_server(server: Server) -> None:
    server.reply = lambda n, body: (time.sleep(1.0), completion())[1]
    with pytest.raises(UserError, match=r"no answer within request_timeout=0\.2 s"):
        ask(server.url, request_timeout=0.2, max_retries=0)


def test_nobody_there() -> None:
    with pytest.raises(UserError, match="cannot be reached"):
        ask("http://127.0.0.1:9/v1", max_retries=0)


def one_image_of(body: dict[str, Any]) -> int:
    """Return the red of the image's first pixel: which row it is."""
    url = body["messages"][1]["content"][0]["image_url"]["url"]
    image = Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))
    return int(np.asarray(image)[0, 0, 0])


def evaluate(monkeypatch, data: Path, out: Path, server: Server, **options: Any) -> None:
    options = {"endpoint": server.url, "max_retries": 0, "concurrency": 2, **options}
    run_eval(monkeypatch, data, Path("some-model"), out, **options)


def test_evaluation_of_an_endpoint(monkeypatch, tmp_path, write_rows, server: Server) -> None:
    evaluate(monkeypatch, write_rows(small_rows(6), "test"), tmp_path / "out", server)
    lines = read_lines(tmp_path / "out" / "predictions.jsonl")
    assert [(line["id"], line["question_bank"]) for line in lines] == [
        (f"row-{index}", bank) for index in range(6) for bank in ("simple", "hard")
    ]
    assert all(line["p_fake"] == pytest.approx(0.75) for line in lines)
    usage = json.loads((tmp_path / "out" / "usage.json").read_text())
    counts = {"n_questions": 12, "n_prompt_tokens": 1200, "n_completion_tokens": 72}
    assert usage["total"] == counts


def test_what_was_answered_before_a_fault_is_kept(
    monkeypatch, tmp_path, write_rows, server: Server
) -> None:
    data = write_rows(small_rows(6), "test")
    server.reply = lambda n, body: completion() if n < 7 else status(500)
    with pytest.raises(UserError, match="status 500"):
        evaluate(monkeypatch, data, tmp_path / "out", server, concurrency=1)
    assert len(read_lines(tmp_path / "out" / "predictions.partial.jsonl")) == 7
    assert not (tmp_path / "out" / "metrics.json").exists()
    server.reply = lambda n, body: completion()
    evaluate(monkeypatch, data, tmp_path / "out", server)
    assert len(server.bodies) == 12 + 1
    assert len(read_lines(tmp_path / "out" / "predictions.jsonl")) == 12


def test_refused_image_is_listed_and_left_out(
    monkeypatch, tmp_path, write_rows, server: Server, capsys
) -> None:
    rows = small_rows(6)
    refused = rows[2]["images"][0].getpixel((0, 0))[0]
    server.reply = lambda n, body: status(400) if one_image_of(body) == refused else completion()
    data = write_rows(rows, "test")
    evaluate(monkeypatch, data, tmp_path / "out", server, score_verdicts="false")
    ids = {line["id"] for line in read_lines(tmp_path / "out" / "predictions.jsonl")}
    assert ids == {f"row-{index}" for index in (0, 1, 3, 4, 5)}
    (skipped,) = read_lines(tmp_path / "out" / "skipped.jsonl")
    assert skipped["id"] == "row-2"
    assert "status 400" in skipped["reason"]
    assert "1 rows are left out" in capsys.readouterr().out
    assert "logprobs" not in server.bodies[0]


def test_endpoint_that_refuses_everything_is_an_error(
    monkeypatch, tmp_path, write_rows, server: Server
) -> None:
    server.reply = lambda n, body: status(400)
    data = write_rows(small_rows(12), "test")
    with pytest.raises(UserError, match=r"status 400.*score_verdicts false"):
        evaluate(monkeypatch, data, tmp_path / "out", server)
    assert len(server.bodies) < 24


def test_forced_modes_need_the_model(monkeypatch, tmp_path, write_rows, server: Server) -> None:
    data = write_rows(small_rows(4), "test")
    with pytest.raises(UserError, match="forced_modes needs the model itself"):
        evaluate(monkeypatch, data, tmp_path / "out", server, forced_modes="true")
    assert not (tmp_path / "out").exists()


def test_messages_leave_the_request_as_it_is() -> None:
    (request,) = requests(1)
    messages(request)
    assert request.prompt[1]["content"] == "real or fake?"
