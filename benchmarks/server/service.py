"""What the load server knows of tasks, and its side of one connection."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from .answers import PONG, Answers, authenticated, error, frame_of, processing, uploaded

__all__ = ["Behaviour", "Connection", "Service"]

_picows = import_module("picows")
_Listener: Any = _picows.WSListener
_TEXT = _picows.WSMsgType.TEXT
_CLOSE = _picows.WSMsgType.CLOSE
# A larger frame holds one task, whose image nobody needs to look at.
_ONE_TASK_BYTES = 3 * 512 * 1024
# Results that wait for others to share their frame with do so for this long at most.
_LEFTOVER = 0.002


@dataclass(frozen=True)
class Behaviour:
    """What the query of the URL asks for.

    Attributes:
        per_frame: how many results share a frame.
        image_bytes: size of the image in a result; 0 for a URL.
        hold: 1 if results are kept back until the control line says ``release``.
        task_ms: how long a task takes; 0 for no time.
        room: how many tasks may run at once, others are refused; 0 for any number. It needs
            `task_ms`.
        unnamed: 1 if refusals do not name their tasks.
        later_room: the same, once `later_after` tasks are finished; 0 for no change.
    """

    per_frame: int = 1
    image_bytes: int = 0
    hold: int = 0
    task_ms: int = 0
    room: int = 0
    unnamed: int = 0
    later_room: int = 0
    later_after: int = 0

    @classmethod
    def of(cls, path: str) -> Behaviour:
        return cls(**{name: int(value) for name, value in parse_qsl(urlsplit(path).query)})

    def has_room(self, running: int, finished: int) -> bool:
        """Return whether one more task may run."""
        is_later = self.later_room and finished >= self.later_after
        room = self.later_room if is_later else self.room
        return not room or running < room


@dataclass
class Service:
    """The tasks, over all connections."""

    finished: set[bytes] = field(default_factory=set)
    held: dict[bytes, None] = field(default_factory=dict)
    running: set[bytes] = field(default_factory=set)
    counters: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(
            (
                *("tasks", "frames", "bytes", "questions", "conflicts", "refused"),
                *("connections", "opened_at"),
            ),
            0,
        )
    )
    connection: Connection | None = None
    holds: bool = True

    def command(self, name: str) -> dict[str, float]:
        """Do what the control line asks for."""
        if name == "release":
            self.release()
        elif name == "drop":
            self.drop()
        return self.counters

    def knows(self, uuid_: bytes) -> bool:
        """Return whether a task was taken."""
        return uuid_ in self.finished or uuid_ in self.held or uuid_ in self.running

    def release(self) -> None:
        self.holds = False
        held = self._finish()
        if self.connection is not None:
            self.connection.deliver(held)

    def drop(self) -> None:
        """Cut the connection; whoever asks gets the results."""
        self.holds = False
        self._finish()
        if self.connection is not None:
            self.connection.cut()

    def _finish(self) -> list[bytes]:
        held = list(self.held)
        self.held.clear()
        self.finished.update(held)
        return held


class Connection(_Listener):  # type: ignore[misc]  # picows need not be there for the check
    """One client. Anything that asks for authentication gets it."""

    def __init__(self, service: Service, path: str) -> None:
        self._service = service
        self._behaviour = Behaviour.of(path)
        self._answers = Answers(self._behaviour.image_bytes)
        self._ready: list[bytes] = []
        self._leftover: asyncio.TimerHandle | None = None
        self._transport: Any = None
        self._kinds: dict[str, Callable[[dict[str, Any]], None]] = {
            "upscale": self._upscale,
            "imageUpscale": self._upscale,
            "authentication": self._authenticate,
            "ping": lambda _: self._send(PONG),
            "getTaskDetails": lambda task: self._not_found(task["taskUUID"].encode()),
            "imageUpload": lambda task: self._send(frame_of([uploaded(task["taskUUID"].encode())])),
        }

    def on_ws_connected(self, transport: Any) -> None:
        self._transport = transport
        self._service.connection = self
        self._service.counters["connections"] += 1
        self._service.counters["opened_at"] = time.monotonic()

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if frame.msg_type is _CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type is _TEXT:
            payload = frame.get_payload_as_memoryview()
            self._service.counters["frames"] += 1
            self._service.counters["bytes"] += len(payload)
            self._serve(_tasks_of(payload))

    def deliver(self, uuids: list[bytes]) -> None:
        """Send results, so many a frame."""
        for uuid_ in uuids:
            self._result(uuid_)

    def cut(self) -> None:
        self._transport.disconnect(graceful=False)

    def _serve(self, tasks: list[dict[str, Any]]) -> None:
        questions: list[bytes] = []
        for task in tasks:
            if task["taskType"] == "getResponse":
                questions.append(task["taskUUID"].encode())
            else:
                self._kinds[task["taskType"]](task)
        if questions:
            self._service.counters["questions"] += len(questions)
            known = [uuid_ for uuid_ in questions if self._service.knows(uuid_)]
            if known:
                self._send(frame_of(map(self._status, known)))
            for uuid_ in questions:
                if uuid_ not in known:
                    self._not_found(uuid_)

    def _status(self, uuid_: bytes) -> bytes:
        done = uuid_ in self._service.finished
        return self._answers.result(uuid_) if done else processing(uuid_)

    def _not_found(self, uuid_: bytes) -> None:
        self._send(error("taskNotFound", uuid_))

    def _authenticate(self, task: dict[str, Any]) -> None:
        self._send(authenticated(task.get("connectionSessionUUID") or str(uuid.uuid4())))

    def _upscale(self, task: dict[str, Any]) -> None:
        service, uuid_ = self._service, task["taskUUID"].encode()
        service.counters["tasks"] += 1
        if service.knows(uuid_):
            service.counters["conflicts"] += 1
            self._send(error("conflictTaskUUID", uuid_))
        elif self._behaviour.hold and service.holds:
            service.held[uuid_] = None
        elif self._behaviour.task_ms:
            self._begin(uuid_)
        else:
            service.finished.add(uuid_)
            self._result(uuid_)

    def _begin(self, uuid_: bytes) -> None:
        service, behaviour = self._service, self._behaviour
        if behaviour.has_room(len(service.running), len(service.finished)):
            service.running.add(uuid_)
            seconds = behaviour.task_ms / 1000
            asyncio.get_running_loop().call_later(seconds, self._end, uuid_)
        else:
            service.counters["refused"] += 1
            self._send(error("rateLimitExceeded", b"" if behaviour.unnamed else uuid_))

    def _end(self, uuid_: bytes) -> None:
        self._service.running.remove(uuid_)
        self._service.finished.add(uuid_)
        self._result(uuid_)

    def _result(self, uuid_: bytes) -> None:
        if self._behaviour.per_frame == 1:
            self._send(frame_of((self._answers.result(uuid_),)))
            return
        self._ready.append(self._answers.result(uuid_))
        if len(self._ready) == self._behaviour.per_frame:
            self._flush()
        elif self._leftover is None:
            loop = asyncio.get_running_loop()
            self._leftover = loop.call_later(_LEFTOVER, self._flush)

    def _flush(self) -> None:
        if self._leftover is not None:
            self._leftover.cancel()
            self._leftover = None
        if self._ready:
            self._send(frame_of(self._ready))
            self._ready = []

    def _send(self, frame: bytes) -> None:
        self._transport.send(_TEXT, frame)


def _tasks_of(payload: memoryview) -> list[dict[str, Any]]:
    if len(payload) < _ONE_TASK_BYTES:
        tasks: list[dict[str, Any]] = orjson.loads(payload)
        return tasks
    ends = bytes(payload[:1024]) + bytes(payload[-1024:])
    kind = "imageUpload" if b"imageUpload" in ends else "upscale"
    return [{"taskType": kind, "taskUUID": _text_after(b'"taskUUID":', ends)}]


def _text_after(name: bytes, text: bytes) -> str:
    start = text.index(b'"', text.index(name) + len(name)) + 1
    return text[start : text.index(b'"', start)].decode()
