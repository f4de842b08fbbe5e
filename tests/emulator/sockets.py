"""Provide plain clients and receivers for the emulator, which share no code with the package."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import SimpleQueue
from typing import Any, Self

import httpx
from websockets.sync.client import ClientConnection, connect

from runware_ws.emulator import Emulator
from tests.emulator.bench import picture, text_of

TIMEOUT = 20
PIXELS = text_of(picture())


class Client:
    """A WebSocket client that shares no code with the package."""

    def __init__(self, emulator: Emulator, session: str | None = None, max_queue: int = 16) -> None:
        self._connect = connect(
            emulator.url,
            max_size=None,
            max_queue=max_queue,
            compression=None,
            proxy=None,
            ping_interval=None,
        )
        self._authentication = {"taskType": "authentication", "apiKey": emulator.api_key}
        if session is not None:
            self._authentication["connectionSessionUUID"] = session

    def __enter__(self) -> Self:
        self.socket: ClientConnection = self._connect.__enter__()
        self.send(self._authentication)
        self.session: str = self.receive()["data"][0]["connectionSessionUUID"]
        return self

    def __exit__(self, *_: object) -> None:
        self._connect.__exit__(None, None, None)

    def send(self, *tasks: dict[str, Any]) -> None:
        self.socket.send(json.dumps(tasks))

    def receive(self) -> dict[str, Any]:
        frame = self.socket.recv(timeout=TIMEOUT)
        assert isinstance(frame, str)
        answer = json.loads(frame)
        assert isinstance(answer, dict)
        return answer


def post(emulator: Emulator, *tasks: Any, path: str = "/v1") -> httpx.Response:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    with httpx.Client(trust_env=False, timeout=TIMEOUT) as http:
        return http.post(emulator.http_url + path, json=tasks, headers=headers)


def get(url: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=TIMEOUT) as http:
        return http.get(url)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline


class Receiver(HTTPServer):
    """Takes POST and PUT.

    Args:
        refusals: the number of requests to refuse with 500.
        before_refusing: called before that.
    """

    def __init__(
        self, refusals: int = 0, before_refusing: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refusals = refusals
        self.before_refusing = before_refusing
        self.got: SimpleQueue[tuple[str, str, bytes]] = SimpleQueue()
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/x?token=1"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.refusals -= 1
        if self.server.refusals >= 0:
            self.server.before_refusing()
        self.send_response(500 if self.server.refusals >= 0 else 204)
        self.end_headers()
        self.server.got.put((self.command, self.headers["content-type"], body))

    do_PUT = do_POST  # noqa: N815 - the library's naming

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
        """Quiet."""
