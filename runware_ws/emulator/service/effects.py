"""The effects of the service, which the host performs in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .answers import HttpCall
from .jobs import Job
from .sessions import ServiceConnection


@dataclass(frozen=True, slots=True)
class Push:
    """Send a text frame.

    `is_result` is True for the outcome of a task. If that cannot be written, it is kept for the
    session. Other answers are lost with their connection.
    """

    connection: ServiceConnection
    frame: bytes = field(repr=False)
    is_result: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    """Close a connection with a WebSocket close frame."""

    connection: ServiceConnection
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Cut:
    """End a connection without a WebSocket close frame.

    ``abort`` ends it with FIN, after all that was written. ``reset`` ends it with RST, and the
    bytes still in the buffers are lost.
    """

    connection: ServiceConnection
    how: Literal["abort", "reset"]


@dataclass(frozen=True, slots=True)
class Run:
    """Run a job, then call `Service.finished`."""

    job: Job


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer an HTTP request."""

    call: HttpCall
    status: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Webhook:
    """POST `body` as JSON to `url`, then call `Service.delivered`."""

    url: str = field(repr=False)
    task_uuid: str
    body: bytes = field(repr=False)
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Upload:
    """PUT the file of a result to `url`, then call `Service.delivered`."""

    url: str = field(repr=False)
    task_uuid: str
    image_uuid: str
    attempt: int = 1


Delivery: TypeAlias = Webhook | Upload
ServiceEffect: TypeAlias = Push | Close | Cut | Run | Respond | Delivery
