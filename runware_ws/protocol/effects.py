"""The effects of the session: commands that the driver performs in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import RunwareError
from .tasks import Task

EventKind = Literal[
    "connected", "lost", "reconciling", "key_refused", "double_run", "limit", "closed"
]


@dataclass(slots=True)
class Settle:
    """Return the outcome of a task, an item as received or an error, to its callers."""

    task: Task
    outcome: dict[str, Any] | RunwareError = field(repr=False)


@dataclass(slots=True)
class Record:
    """Record a task in the journal, then call `Session.recorded`. Only after that it is sent."""

    task: Task


@dataclass(slots=True)
class Retry:
    """Report that a task is run again after an error with this code."""

    task: Task
    code: str


@dataclass(slots=True)
class Load:
    """Load the bytes of a task from the journal, then call `Session.loaded`."""

    task: Task


@dataclass(slots=True)
class Connect:
    """Open the connection of a channel."""

    channel: int


@dataclass(slots=True)
class Disconnect:
    """Drop the connection of a channel."""

    channel: int


@dataclass(slots=True)
class Pong:
    """Report that a ping came back after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the connection; see `RunwareClient.events`.

    Attributes:
        kind: ``connected``, ``lost``, ``reconciling``, ``key_refused``, ``double_run``,
            ``limit`` or ``closed``.
        detail: a description.
        resumed: for ``connected``: whether the service resumed the old session.
        count: for ``reconciling``: number of tasks that the service is asked about. For ``limit``:
            number of tasks that may be in flight from now on.
        connection: for ``connected``, ``lost`` and ``key_refused``: number of the connection, 0
            for the main one.
    """

    kind: EventKind
    detail: str = ""
    resumed: bool = False
    count: int = 0
    connection: int = 0


@dataclass(slots=True)
class Notify:
    """Report an event."""

    event: Event


@dataclass(slots=True)
class Frame:
    """A message to send, and its tasks. The repr leaves out the bytes, which may hold the key."""

    data: bytes | bytearray = field(repr=False)
    tasks: Sequence[Task] = field(default=(), repr=False)
    is_ping: bool = False


Effect = Settle | Record | Load | Retry | Connect | Disconnect | Pong | Notify
