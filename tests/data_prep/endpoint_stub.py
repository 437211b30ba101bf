"""A local HTTP server that speaks as much of the OpenAI protocol as the question writer uses."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = str | int | float | bytes


class Endpoint(ThreadingHTTPServer):
    """Answers chat requests from a list, in order, and keeps what it was asked.

    An answer is the text of the completion; a number, the HTTP status of a failure; bytes, a body
    sent as it is; a float, the seconds to wait before an empty answer.
    """

    daemon_threads = True

    def __init__(self, answers: Sequence[Answer], models: Sequence[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[Answer] = list(answers)
        self.models = models
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            return self._send(404, b"{}")
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "test"}
            for name in self.server.models
        ]
        self._send(200, json.dumps({"object": "list", "data": models}).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/v1/chat/completions":
            return self._send(404, b"{}")
        self.server.requests.append(json.loads(body))
        self.server.keys.append(self.headers.get("Authorization"))
        answer = self.server.answers.pop(0) if self.server.answers else ""
        if isinstance(answer, float):
            time.sleep(answer)
            answer = ""
        if isinstance(answer, bytes):
            return self._send(200, answer)
        if isinstance(answer, int):
            return self._send(answer, b'{"error": {"message": "try max_completion_tokens"}}')
        self._send(200, json.dumps(completion(answer)).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After-Ms", "1")  # the client's own back-off starts at half a second
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def completion(text: str | None) -> dict[str, Any]:
    """Return a chat completion as an OpenAI-compatible server sends it."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "made-up",
        "choices": [choice],
    }


@contextmanager
def serve(answers: Sequence[Answer], models: Sequence[str] = ("made-up",)) -> Iterator[Endpoint]:
    """Run an endpoint on a free port of this machine."""
    with Endpoint(answers, models) as endpoint:
        thread = threading.Thread(target=endpoint.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield endpoint
        finally:
            endpoint.shutdown()
            thread.join()
