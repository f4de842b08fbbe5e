"""Load the bytes of tasks of an earlier process that must be sent again.

A journal may be larger than the memory, and its disk may be slow. So a task that is only asked for
by its UUID is not loaded. The others are loaded one at a time in a thread, up to the number of
bytes that may be in flight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from ..errors import InputError, JournalError, ProtocolError
from ..inputs import encode_file
from ..protocol.session import Session
from ..protocol.tasks import Task
from ..protocol.wire import around_image, decode_tasks
from ..runtime.concurrency import Notification, run_in_thread
from ..settings import Settings
from .entry import Entry
from .origin import digest

if TYPE_CHECKING:
    from .store import Journal


@dataclass(frozen=True, slots=True)
class Request:
    """The request of a task.

    Attributes:
        wire_uuid: the taskUUID in it.
        payload: its bytes; b"" if it must not be sent again.
        why_not: the reason for that; "" if there never was a request.
    """

    wire_uuid: str
    payload: bytes | bytearray = field(repr=False)
    why_not: str = ""


class Loader:
    """Loads tasks in a background task.

    Args:
        journal: the journal.
        session: the session that needs them.
        settings: the client's settings.
        loaded: called after a task was passed to the session.
    """

    def __init__(
        self, journal: Journal, session: Session, settings: Settings, loaded: Callable[[], None]
    ) -> None:
        self._journal = journal
        self._session = session
        self._loaded = loaded
        self._max_bytes = settings.max_in_flight_bytes
        self._wanted: dict[Task, None] = {}
        self._sizes: dict[Task, int] = {}  # of those that were loaded and are not settled
        self._bytes = 0
        self._changed = Notification()
        self._thread = anyio.CapacityLimiter(1)

    def add(self, task: Task) -> None:
        """Load a task when there is room for it."""
        self._wanted[task] = None
        self._changed.notify()

    def settled(self, task: Task) -> None:
        """Record that a task holds no bytes any more."""
        if (size := self._sizes.pop(task, None)) is not None:
            self._bytes -= size
            self._changed.notify()

    async def run(self) -> None:
        """Load the added tasks, until cancelled."""
        while True:
            while not (self._wanted and self._has_room):
                await self._changed.wait()
            await self._load(next(iter(self._wanted)))

    @property
    def _has_room(self) -> bool:
        """Return whether another task may be loaded. Its size is not known yet."""
        return len(self._sizes) < self._session.limit and self._bytes < self._max_bytes

    async def _load(self, task: Task) -> None:
        if self._session.awaits(task):
            request = await run_in_thread(
                read_request, self._journal, task.origin.row, limiter=self._thread
            )
            if request.payload and request.wire_uuid != task.wire_uuid:
                return  # it was begun again meanwhile, and is read again
            if self._session.awaits(task):
                self._sizes[task] = len(request.payload)
                self._bytes += len(request.payload)
                self._session.loaded(task, request.payload, request.why_not)
                self._loaded()
        del self._wanted[task]


def read_request(journal: Journal, row: int) -> Request:
    """Read the request of a task, with its image. It blocks."""
    try:
        entry, request = journal.entry(row), journal.request(row)
    except JournalError as error:
        return Request("", b"", f"its request cannot be read: {error.reason}")
    if entry is None or not request:
        return Request("", b"")
    if not _is_whole(request, entry.wire_uuid):
        return Request("", b"", "its request in the journal is damaged")
    if not entry.digest:
        return Request(entry.wire_uuid, request)
    return _with_file(entry, request)


def _is_whole(request: bytes, wire_uuid: str) -> bool:
    """Return whether a request is intact. A damaged one would spoil the frame that contains it."""
    try:
        return [task.get("taskUUID") for task in decode_tasks(request)] == [wire_uuid]
    except ProtocolError:
        return False


def _with_file(entry: Entry, request: bytes) -> Request:
    head, tail = around_image(request)
    try:
        payload = encode_file(Path(entry.source or ""), head, tail)
    except InputError as error:
        return Request("", b"", error.problem)
    image = memoryview(payload)[len(head) + 1 : len(payload) - len(tail) - 1]  # without quotes
    if digest(image) != entry.digest:
        return Request("", b"", f"{entry.source!r} has changed")
    return Request(entry.wire_uuid, payload)
