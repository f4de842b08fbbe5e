"""What a process that died left in the journal: taken up again, and handed over."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio.to_thread

from ..batch import Handed, Outcome, outcome_of
from ..errors import InputError
from ..inputs import encode_file
from ..protocol.tasks import Task
from ..protocol.wire import decode_tasks, encode_task
from ..results import UpscaleResult
from ..runtime.concurrency import Notification
from ..runtime.submission import Intake
from ..task import UpscaleTask
from .store import Entry, Journal, Origin, digest

__all__ = ["Found", "Recovered", "find", "found_in", "take_up", "task_of"]

Left = Path | str | None


class Recovered(AsyncIterator[Outcome[Left]]):
    """The outcomes of tasks that an earlier process left unfinished, each once.

    A result counts as taken, and leaves the journal, when the next one is asked for. An error
    has left it by then, unless it is the client's own end, which no task is to suffer from.
    """

    def __init__(self, intake: Intake | None = None, journal: Journal | None = None) -> None:
        self._intake = intake
        self._make_writer = None if intake is None else intake.driver.writer
        self._journal = journal
        self._stored: deque[Entry] = deque()
        self._settled: deque[tuple[Left, UpscaleTask]] = deque()
        self._under_way = 0
        self._changed = Notification()
        self._handed = Handed()

    def store(self, entry: Entry) -> None:
        """For this package: an outcome that is in the journal already."""
        self._stored.append(entry)
        if self._make_writer is not None:
            self._make_writer.untaken.add(entry.uuid)

    def expect(self, source: Left, task: UpscaleTask) -> None:
        """For this package: a task that was taken up again."""
        self._under_way += 1

        def done() -> None:
            self._under_way -= 1
            self._settled.append((source, task))
            self._changed.tell()

        task.when_settled(done)

    async def __anext__(self) -> Outcome[Left]:
        self._handed.take()
        if self._stored and self._journal is not None:
            return await self._from_journal(self._journal)
        while not self._settled:
            if not self._under_way:
                raise StopAsyncIteration
            await self._changed.wait()
        source, task = self._settled.popleft()
        outcome = outcome_of(source, task)
        if outcome is None:
            raise RuntimeError("woken without an outcome")
        self._handed.give(task.take)
        return outcome

    async def _from_journal(self, journal: Journal) -> Outcome[Left]:
        if self._intake is not None:
            self._intake.driver.check_open()
        entry = self._stored.popleft()
        try:
            answer = await anyio.to_thread.run_sync(journal.answer, entry.uuid)
        except BaseException:
            self._stored.appendleft(entry)
            raise
        if self._make_writer is not None:
            self._handed.give(partial(self._make_writer.forget, entry.uuid))
        result = UpscaleResult(entry.uuid, answer or {}, entry.attempts)
        return Outcome(_source(entry), result=result)


@dataclass(frozen=True, slots=True)
class Found:
    """A journal, open, and what is in it: each task with its bytes, if it can be sent again."""

    journal: Journal
    session_uuid: str | None
    entries: list[tuple[Entry, bytes]]


def find(path: str | os.PathLike[str]) -> Found:
    """Open a journal and read what an earlier process left in it; it blocks.

    Raises:
        JournalError: it cannot be used.
    """
    journal = Journal(path)
    try:
        return found_in(journal)
    except BaseException:
        journal.close()
        raise


def found_in(journal: Journal) -> Found:
    """What an earlier process left in a journal; it blocks."""
    entries = [(entry, _payload(entry)) for entry in journal.entries()]
    return Found(journal, journal.session(), entries)


def take_up(found: Found, intake: Intake, timeout: float | None) -> Recovered:
    """Hand what was found to a session that has not yet begun to connect: the replay may come
    first of all, and must find the tasks there."""
    recovered = Recovered(intake, found.journal)
    intake.session.reconnector.session_uuid = found.session_uuid
    for entry, payload in found.entries:
        if entry.has_result:
            recovered.store(entry)
            continue
        deadline = None if timeout is None else intake.driver.clock() + timeout
        record = task_of(entry, payload, timeout, deadline)
        intake.admission.enter_anyway(len(payload))
        recovered.expect(_source(entry), intake.take_up(record))
    return recovered


def task_of(entry: Entry, payload: bytes, timeout: float | None, deadline: float | None) -> Task:
    """A task again that an earlier process had, for `Session.attach`."""
    task = Task(
        entry.uuid,
        payload,
        owned=entry.owned,
        polled=entry.polled,
        timeout=timeout,
        deadline=deadline,
        origin=Origin(b"", entry.source, entry.digest, entry.uuid),
    )
    task.attempts = entry.attempts
    task.writes = 1  # perhaps: who knows how far it came
    return task


def _source(entry: Entry) -> Left:
    return Path(entry.source) if entry.digest and entry.source else entry.source


def _payload(entry: Entry) -> bytes:
    """The task's bytes again; b"" when it must not be sent again, or cannot be, as its file is
    not what it was."""
    if not entry.request or not entry.digest or entry.source is None:
        return entry.request
    try:
        image = encode_file(Path(entry.source))
    except InputError:
        return b""
    if digest(image) != entry.digest:
        return b""
    (task,) = decode_tasks(entry.request)
    return encode_task(task, image)
