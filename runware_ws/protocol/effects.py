"""What the session wants done, in order. The driver does it and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import RunwareError
from .tasks import Task

__all__ = ["Connect", "Disconnect", "Effect", "Event", "Frame", "Kept", "Notify", "Pong", "Settle"]


@dataclass(slots=True)
class Settle:
    """Hand a task's outcome, an item as received or an error, to whoever waits for it."""

    task: Task
    outcome: dict[str, Any] | RunwareError


@dataclass(slots=True)
class Kept:
    """Write a task down, if there is a journal, and then call `Session.kept`: only then is it
    sent."""

    task: Task


@dataclass(slots=True)
class Connect:
    """Open a connection."""


@dataclass(slots=True)
class Disconnect:
    """Let go of the connection."""


@dataclass(slots=True)
class Pong:
    """A ping came back after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Event:
    """Something that people may want to know of.

    Attributes:
        kind: ``connected``, ``lost``, ``reconciling``, ``key_refused`` or ``closed``.
        detail: what happened, in words.
        resumed: with ``connected``: whether the service took up the old session.
        count: with ``reconciling``: how many tasks were in doubt.
    """

    kind: str
    detail: str = ""
    resumed: bool = False
    count: int = 0


@dataclass(slots=True)
class Notify:
    """Tell people."""

    event: Event


@dataclass(slots=True)
class Frame:
    """Bytes for the connection. They may hold the key, so a repr does not show them."""

    data: bytes = field(repr=False)
    is_ping: bool = False


Effect = Settle | Kept | Connect | Disconnect | Pong | Notify
