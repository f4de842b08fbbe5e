"""The tasks that an earlier process left in the journal: taken up again, and handed over."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..batch import Outcome, OutcomeIterator, Success, outcome_of
from ..errors import InputError
from ..inputs import encode_file
from ..protocol.wire import around_image, decode_value
from ..results import UpscaleResult
from ..runtime.concurrency import Notification, run_in_thread, uninterruptible
from ..runtime.submission import Submission, Submitter
from .store import Entry, Journal, Origin, digest

RecoveredSource = Path | str | None


@uninterruptible
class Recovered(OutcomeIterator[RecoveredSource]):
    """The outcomes of the tasks that an earlier process left unfinished, each once.

    A result stays in the journal until it is acknowledged: see `UpscaleResult.ack`.
    """

    def __init__(self, submitter: Submitter | None = None, journal: Journal | None = None) -> None:
        self._submitter = submitter
        self._journal = journal
        self._stored: deque[Entry] = deque()
        self._settled: deque[tuple[RecoveredSource, Submission]] = deque()
        self._in_flight = 0
        self._news = Notification()

    def _store(self, entry: Entry) -> None:
        """Add a task whose result is in the journal."""
        self._stored.append(entry)
        if self._submitter is not None and self._submitter.driver.writer is not None:
            self._submitter.driver.writer.untaken.add(entry.uuid)

    def _expect(self, source: RecoveredSource, submission: Submission) -> None:
        """Add a task that was taken up again."""
        self._in_flight += 1

        def done() -> None:
            self._in_flight -= 1
            self._settled.append((source, submission))
            self._news.notify()

        submission.when_settled(done)

    async def __anext__(self) -> Outcome[RecoveredSource]:
        if self._submitter is not None:
            self._submitter.driver.home.check()
        if self._stored and self._journal is not None and self._submitter is not None:
            return await self._from_journal(self._journal, self._submitter)
        while not self._settled:
            if not self._in_flight:
                raise StopAsyncIteration
            await self._news.wait()
        outcome = outcome_of(*self._settled.popleft())
        if outcome is None:
            raise RuntimeError("woken without an outcome")
        return outcome

    async def _from_journal(
        self, journal: Journal, submitter: Submitter
    ) -> Outcome[RecoveredSource]:
        submitter.driver.check_open()
        entry = self._stored.popleft()
        try:
            answer = await run_in_thread(journal.answer, entry.uuid)
        except BaseException:
            self._stored.appendleft(entry)
            raise
        on_ack = partial(submitter.forget, entry.uuid)
        result = UpscaleResult(
            entry.uuid,
            answer or {},
            entry.attempts,
            tag=_tag(entry),
            on_ack=on_ack,
            downloads=submitter.downloads,
        )
        return Success(_source(entry), result)


@dataclass(frozen=True, slots=True)
class Found:
    """An open journal with its content: each task with its bytes, if it can be sent again."""

    journal: Journal
    session_uuid: str | None
    entries: list[tuple[Entry, bytes]]


def find(path: str | os.PathLike[str]) -> Found:
    """Open a journal and read what an earlier process left in it. It blocks.

    Raises:
        JournalError: the journal cannot be used.
    """
    journal = Journal(path)
    try:
        return found_in(journal)
    except BaseException:
        journal.close()
        raise


def found_in(journal: Journal) -> Found:
    """Return what an earlier process left in a journal. It blocks."""
    entries = [(entry, _payload(entry)) for entry in journal.entries()]
    return Found(journal, journal.session(), entries)


def take_up(found: Found, submitter: Submitter) -> Recovered:
    """Hand what was found to a session that has not begun to connect.

    The replay may be the first thing that arrives, and must find the tasks there.
    """
    recovered = Recovered(submitter, found.journal)
    submitter.session.main.reconnector.session_uuid = found.session_uuid
    for entry, payload in found.entries:
        if entry.has_result:
            recovered._store(entry)
            continue
        submission = Submission(entry.uuid, payload, **task_options(entry))
        submission.size, submission.tag = len(payload), _tag(entry)
        submitter.admission.enter_anyway(len(payload))
        recovered._expect(_source(entry), submission)
        submitter.take_up(submission)
    return recovered


def task_options(entry: Entry) -> dict[str, Any]:
    """Return the arguments that make a task of an entry.

    It has no deadline: nobody waits for it, and if it ended by one, its image would be upscaled
    again under another name. It is asked for until the service has said what became of it.
    """
    return {
        "wire_uuid": entry.wire_uuid,
        "owned": entry.owned,
        "polled": entry.polled,
        "origin": Origin(b"", entry.source, entry.digest, entry.tag, entry.wire_uuid),
        "attempts": entry.attempts,
        "writes": 1,  # perhaps: nobody knows how far it came
    }


def _tag(entry: Entry) -> Any:
    return None if entry.tag is None else decode_value(entry.tag)


def _source(entry: Entry) -> RecoveredSource:
    return Path(entry.source) if entry.digest and entry.source else entry.source


def _payload(entry: Entry) -> bytes:
    """Return the bytes of a task again; b"" if it must not be sent again, or its file changed."""
    if not entry.request or not entry.digest or entry.source is None:
        return entry.request
    head, tail = around_image(entry.request)
    try:
        payload = encode_file(Path(entry.source), head, tail)
    except InputError:
        return b""
    image = memoryview(payload)[len(head) + 1 : len(payload) - len(tail) - 1]  # without quotes
    return bytes(payload) if digest(image) == entry.digest else b""
