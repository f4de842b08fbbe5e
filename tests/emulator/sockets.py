"""Plain clients for the emulator, which share no code with the package."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
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
