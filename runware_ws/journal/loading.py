"""Tasks of an earlier process that must be sent again: their bytes are loaded in their turn.

A journal may hold more than the memory does, and its files are on disks that may be slow. So what
is asked for by its UUID alone takes no bytes, and the rest is loaded one at a time in a thread, as
much as may be in flight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio

from ..errors import InputError, JournalError, ProtocolError
from ..inputs import encode_file
from ..protocol.session import Session
from ..protocol.tasks import Task
from ..protocol.wire import around_image, decode_tasks
from ..runtime.admission import Admission
from ..runtime.concurrency import Notification, run_in_thread
from ..settings import Settings
from .changes import digest
from .store import Entry, Journal


@dataclass(frozen=True, slots=True)
class Request:
    """The request of a task.

    Attributes:
        wire_uuid: the taskUUID in it.
        payload: its bytes; b"" if it must not be sent again.
        why_not: why not, in words; "" if there never was a request.
    """

    wire_uuid: str
    payload: bytes | bytearray
    why_not: str = ""


class Loader:
    """Loads tasks in a task of its own.

    Args:
        journal: the journal.
        session: the session that wants them.
        settings: the client's settings.
        loaded: called after the session was given a task.
    """

    def __init__(
        self, journal: Journal, session: Session, settings: Settings, loaded: Callable[[], None]
    ) -> None:
        self._journal = journal
        self._session = session
        self._loaded = loaded
        self._room = Admission(settings.max_in_flight, settings.max_in_flight_bytes)
        self._wanted: dict[Task, None] = {}
        self._sizes: dict[Task, int] = {}  # of those that were loaded and are not settled
        self._news = Notification()
        self._thread = anyio.CapacityLimiter(1)

    def add(self, task: Task) -> None:
        """Load a task when there is room for it."""
        self._wanted[task] = None
        self._news.notify()

    def settled(self, task: Task) -> None:
        """Take note that a task holds no bytes any more."""
        if (size := self._sizes.pop(task, None)) is not None:
            self._room.leave(size)

    async def run(self) -> None:
        """Load whatever is wanted, until cancelled."""
        while True:
            while not self._wanted:
                await self._news.wait()
            # Its size is not known yet, so the limit may be exceeded by one task.
            await self._room.enter(0)
            task = next(iter(self._wanted))
            await self._load(task)
            if task not in self._sizes:
                self._room.leave(0)

    async def _load(self, task: Task) -> None:
        if self._session.awaits(task):
            request = await run_in_thread(
                read_request, self._journal, task.uuid, limiter=self._thread
            )
            if request.payload and request.wire_uuid != task.wire_uuid:
                return  # it was begun again meanwhile, and is read again
            if self._session.awaits(task):
                size = len(request.payload)
                self._sizes[task] = size
                self._room.resize(0, size)
                self._session.loaded(task, request.payload, request.why_not)
                self._loaded()
        del self._wanted[task]


def read_request(journal: Journal, uuid: str) -> Request:
    """Read the request of a task, with its image. It blocks."""
    try:
        entry, request = journal.entry(uuid), journal.request(uuid)
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
    """Return whether a request is what was written: a damaged one would spoil its frame."""
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
