"""The line between a client process and the load server, beside the connection measured.

A command is one line, its answer one line of JSON: ``stats``, ``release`` (answer all that is
held), ``drop`` (cut the connection, and keep the results for whoever asks).
"""

from __future__ import annotations

import json
import socket

__all__ = ["Control"]


class Control:
    """The client's end. It blocks, so it is used outside of what is measured."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._lines = self._socket.makefile("r")

    def stats(self) -> dict[str, float]:
        """What the server has seen so far, and the CPU seconds it took."""
        return self._ask("stats")

    def release(self) -> None:
        """Let the server answer all that it holds, and hold nothing from now on."""
        self._ask("release")

    def drop(self) -> None:
        """Let the server cut the connection."""
        self._ask("drop")

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def _ask(self, command: str) -> dict[str, float]:
        self._socket.sendall(f"{command}\n".encode())
        answer: dict[str, float] = json.loads(self._lines.readline())
        return answer
