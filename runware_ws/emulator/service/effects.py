"""What the service wants done, in the order in which it must be done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .calls import Call
from .jobs import Job
from .sessions import Link

__all__ = ["Close", "Cut", "Effect", "Push", "Respond", "Run", "Upload", "Webhook"]


@dataclass(frozen=True, slots=True)
class Push:
    """Send a text frame. `keep`: it is a result, to be replayed if it could not be written."""

    link: Link
    frame: bytes
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    """Close a connection; the service hears no more of it."""

    link: Link
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Cut:
    """End a connection without a WebSocket goodbye.

    `how`: ``abort`` when all that was written has gone, with TCP's goodbye; ``reset`` at once,
    with none, and what stands in the buffers is lost.
    """

    link: Link
    how: Literal["abort", "reset"]


@dataclass(frozen=True, slots=True)
class Run:
    """Do the job, then call `Service.finished`."""

    job: Job


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer an HTTP request."""

    call: Call
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Webhook:
    """POST `body` as JSON, then call `Service.called`."""

    url: str = field(repr=False)
    task_uuid: str
    body: bytes
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Upload:
    """PUT the file of a finished job, then call `Service.called` [O]."""

    url: str = field(repr=False)
    task_uuid: str
    image_uuid: str
    attempt: int = 1


Effect: TypeAlias = Push | Close | Cut | Run | Respond | Webhook | Upload
