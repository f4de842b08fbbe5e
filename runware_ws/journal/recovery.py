"""Continue the tasks that an earlier process left in the journal, and return their outcomes."""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..batch import Failure, Outcome, OutcomeIterator, Success, outcome_of
from ..errors import ProtocolError, ResultLostError
from ..protocol.tasks import Task
from ..protocol.wire import Item, decode_item, decode_value
from ..results import UpscaleResult
from ..runtime.concurrency import Notification, run_in_thread, uninterruptible
from ..runtime.submission import Submission
from ..runtime.submitter import Submitter
from .entry import Entry, EntryRow, entry_of

if TYPE_CHECKING:
    from .store import Journal

RecoveredSource = Path | str | None
_log = logging.getLogger("runware_ws")

# The number of entries that are read at a time, which takes a few milliseconds of the event loop.
_SLICE = 200
# The least number of tasks that are asked for at a time. The others wait until these are settled.
_MIN_WINDOW = 1000


@uninterruptible
class Recovered(OutcomeIterator[RecoveredSource]):
    """The outcomes of unfinished tasks of an earlier process, from `RunwareClient.recovered`.

    Each outcome is returned once. A result stays in the journal until it is acknowledged: see
    `UpscaleResult.ack`.
    """

    def __init__(self, submitter: Submitter | None = None, journal: Journal | None = None) -> None:
        self._submitter = submitter
        self._journal = journal
        self._stored: deque[int] = deque()  # rows of tasks whose results are in the journal
        self._waiting: dict[str, EntryRow] = {}  # tasks that are not taken up yet, by their UUIDs
        self._window = max(_MIN_WINDOW, submitter.driver.settings.max_in_flight) if submitter else 0
        self._settled: deque[tuple[RecoveredSource, Submission]] = deque()
        self._in_flight = 0
        self._changed = Notification()

    async def _read(self, journal: Journal, submitter: Submitter) -> None:
        last = -1
        while rows := await run_in_thread(journal.rows, last, _SLICE):
            for row in rows:
                last, uuid, wire_uuid, *_, has_result = row
                if has_result:
                    self._store(last, uuid, submitter)
                elif self._in_flight < self._window or wire_uuid != uuid:
                    self._take_up(entry_of(row), submitter)
                else:
                    self._waiting[uuid] = row
        submitter.session.take_up_from(self._find)

    def _store(self, row: int, uuid: str, submitter: Submitter) -> None:
        """Record a task whose result is in the journal."""
        self._stored.append(row)
        if submitter.driver.writer is not None:
            submitter.driver.writer.unacknowledged[uuid] = row

    def _take_up(self, entry: Entry, submitter: Submitter) -> Submission:
        submission = Submission(entry.uuid)
        restore(submission, entry)
        submission.tag = _tag(entry)
        submitter.admission.enter_anyway(0)
        self._in_flight += 1
        submission.when_settled(partial(self._done, _source(entry), submission))
        submitter.session.attach(submission, submitter.driver.clock())
        return submission

    def _find(self, uuid: str) -> Submission | None:
        """Continue a task before its turn, if there is one with this name."""
        row = self._waiting.pop(uuid, None)
        if row is None or self._submitter is None:
            return None
        return self._take_up(entry_of(row), self._submitter)

    def _done(self, source: RecoveredSource, submission: Submission) -> None:
        self._in_flight -= 1
        self._settled.append((source, submission))
        self._changed.notify()
        if self._waiting and self._in_flight < self._window and not self._has_ended:
            self._find(next(iter(self._waiting)))

    @property
    def _has_ended(self) -> bool:
        return self._submitter is None or self._submitter.session.ended

    async def __anext__(self) -> Outcome[RecoveredSource]:
        if self._submitter is not None:
            self._submitter.driver.loop.check()
        if self._stored and self._journal is not None and self._submitter is not None:
            return await self._from_journal(self._journal, self._submitter)
        while not self._settled:
            if not self._in_flight:
                if self._waiting and self._submitter is not None:
                    self._submitter.driver.check_open()
                raise StopAsyncIteration
            await self._changed.wait()
        outcome = outcome_of(*self._settled.popleft())
        if outcome is None:
            raise RuntimeError("woken without an outcome")
        return outcome

    def __repr__(self) -> str:
        ready = len(self._stored) + len(self._settled)
        counts = f"{self._in_flight} in flight, {ready} ready, {len(self._waiting)} waiting"
        return f"<Recovered {counts}>"

    async def _from_journal(
        self, journal: Journal, submitter: Submitter
    ) -> Outcome[RecoveredSource]:
        submitter.driver.check_open()
        row = self._stored.popleft()
        try:
            entry, answer = await run_in_thread(_read_result, journal, row, abandon_on_cancel=True)
        except BaseException:
            self._stored.appendleft(row)
            raise
        if answer is None:
            return _unreadable(entry, submitter)
        on_ack = partial(submitter.forget, entry.uuid)
        result = UpscaleResult(
            entry.uuid,
            answer,
            entry.attempts,
            downloads=submitter.downloads,
            tag=_tag(entry),
            on_ack=on_ack,
        )
        return Success(_source(entry), result)


async def take_up(journal: Journal, submitter: Submitter) -> Recovered:
    """Attach the tasks in a journal to a session that has not connected yet.

    A replay may be the first frame to arrive, so the tasks must be known before. They are read in
    slices, so that they do not fill the memory or block the event loop.
    """
    recovered = Recovered(submitter, journal)
    submitter.session.main.reconnector.session_uuid = await run_in_thread(journal.session)
    await recovered._read(journal, submitter)
    return recovered


def restore(task: Task, entry: Entry) -> None:
    """Turn a new task into one that continues an entry.

    It has no deadline: no caller waits for it, and if it timed out, the program would upscale its
    image again as another task. The service is asked until it tells the outcome.
    """
    from .origin import Origin  # not imported by programs that have no journal

    task.wire_uuid = entry.wire_uuid
    task.owned = entry.owned
    task.polled = entry.polled
    task.origin = Origin(entry.row, b"", entry.source, entry.digest, entry.tag, entry.wire_uuid)
    task.attempts = entry.attempts
    task.writes = 1  # it may have been sent
    task.stored = entry.has_request


def _read_result(journal: Journal, row: int) -> tuple[Entry, Item | None]:
    """Return a task and its answer, or None if the answer is damaged. It blocks."""
    entry = journal.entry(row)
    if entry is None:
        raise RuntimeError("a task left the journal before it was acknowledged")
    try:
        return entry, decode_item(journal.answer(row))
    except ProtocolError:
        return entry, None


def _unreadable(entry: Entry, submitter: Submitter) -> Failure[RecoveredSource]:
    """Move an unreadable result to another table, so that it affects no other task or process."""
    known = "its result in the journal is damaged, and was moved to the table 'unreadable'"
    error = ResultLostError(entry.uuid, known)
    _log.error("%s", error)
    if submitter.driver.writer is not None:
        submitter.driver.writer.set_apart(entry.uuid)
    return Failure(_source(entry), error, tag=_tag(entry))


def _tag(entry: Entry) -> Any:
    try:
        return None if entry.tag is None else decode_value(entry.tag)
    except ProtocolError:
        _log.error("the tag of task %s in the journal is damaged, and is left out", entry.uuid)
        return None


def _source(entry: Entry) -> RecoveredSource:
    return Path(entry.source) if entry.digest and entry.source else entry.source
