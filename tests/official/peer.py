"""Run an official client in a process of its own, which does what the tests say."""

from __future__ import annotations

import json
import os
import subprocess
from types import TracebackType
from typing import Any, Self

from tests.official.environments import ROOT

__all__ = ["Failure", "Peer"]


class Failure(Exception):  # noqa: N818 - the client's, not the test's
    """The client failed.

    Attributes:
        kind: the class of its error.
        code: the error's code, if it has one.
        message: its text.
    """

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['type']} {error['code']}: {error['message']}")
        self.kind: str = error["type"]
        self.code: str | None = error["code"]
        self.message: str = error["message"]


class Peer:
    """The client behind a command: see `tests.official.peers.calls`."""

    def __init__(self, command: list[str], **environment: str) -> None:
        self._command = command
        self._environment = environment

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, **self._environment},
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def restart(self) -> None:
        """Replace the process by a new one."""
        self.__exit__(None, None, None)
        self.__enter__()

    def call(self, function: str, **arguments: Any) -> Any:
        """Have the client do something, and wait for what comes of it.

        Raises:
            Failure: the client's own error.
        """
        call = {"function": function, "arguments": arguments}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the client's process has ended"
        answer = json.loads(line)
        if "error" in answer:
            raise Failure(answer["error"])
        return answer["value"]
