"""Record effects in the journal before they are performed.

Changes that come while a commit is being written are collected for the next one. So the cost of a
change falls as their number grows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio

from ..errors import (
    AuthenticationError,
    ClientClosedError,
    ConnectionLostError,
    JournalError,
    RunwareError,
    TaskCancelledError,
    TaskTimeoutError,
)
from ..protocol.effects import Record, Settle
from ..protocol.tasks import Task
from ..runtime.concurrency import run_in_thread
from .changes import Change, Forget, Keep, KeepResult, SetApart

if TYPE_CHECKING:
    from .store import Journal

# The client ended, not the task: the next process takes it up.
_CLIENT_ENDED = (AuthenticationError, ClientClosedError, ConnectionLostError, JournalError)
# The caller gave the task up, and does not wait for the journal to forget it.
_GIVEN_UP = (TaskCancelledError, TaskTimeoutError)
_OWN = (*_CLIENT_ENDED, *_GIVEN_UP)


class JournalWriter:
    """Writes the journal in a background task.

    Args:
        journal: the journal.
        session_uuid: returns the UUID of the current session, or None.
        recorded: called with the effects of each commit, in order.
        failed: called once, when the journal cannot be written any more.

    Attributes:
        unacknowledged: the rows of the tasks whose results are in the journal, or on the way to it,
            by the UUIDs of the tasks.
    """

    def __init__(
        self,
        journal: Journal,
        session_uuid: Callable[[], str | None],
        recorded: Callable[[list[Record | Settle]], None],
        failed: Callable[[JournalError], None],
    ) -> None:
        self.unacknowledged: dict[str, int] = {}
        self._journal = journal
        self._session_uuid = session_uuid
        self._recorded = recorded
        self._failed = failed
        self._broken = False
        self._failure: JournalError | None = None
        # Acknowledged results were written in an earlier commit, so these changes may come first.
        # Equal changes in a row cost less.
        self._acknowledged: list[Change] = []
        self._changes: list[Change] = []
        self._effects: list[Record | Settle] = []
        self._in_commit: list[Record | Settle] = []  # the effects of the commit that is under way
        # Other calls in threads may be slow, such as those that save results.
        self._thread = anyio.CapacityLimiter(1)
        self._written = anyio.Event()
        self._being_written: anyio.Event | None = None
        self._work = anyio.Event()
        self._has_work = False

    def add(self, effect: Record | Settle) -> None:
        """Record an effect, and report it when it and all earlier effects are written.

        An outcome that does not come from the service is reported at once, so that a disk that
        hangs does not delay a timeout.
        """
        is_own = isinstance(effect, Settle) and isinstance(effect.outcome, _OWN)
        if self._broken or is_own:
            self._recorded([effect])
        if self._broken:
            return
        change = change_of(effect)
        if change is not None:
            self._changes.append(change)
            if isinstance(change, KeepResult):
                self.unacknowledged[effect.task.uuid] = change.row
        if not is_own:
            self._effects.append(effect)
        self.touch()

    async def flush(self) -> None:
        """Wait until all effects so far are written. Many callers may wait for one commit.

        Raises:
            JournalError: they cannot be written.
        """
        written = self._written if self._has_work else self._being_written
        if written is not None and not self._broken:
            await written.wait()
        if self._failure is not None:
            raise type(self._failure)(*self._failure.args)

    def next_deadline(self) -> float:
        """Return the earliest deadline of the tasks with unwritten outcomes, or infinity."""
        waiting = (*self._in_commit, *self._effects)
        deadlines = (one.task.deadline for one in waiting if isinstance(one, Settle))
        return min((one for one in deadlines if one is not None), default=math.inf)

    def release(
        self, is_due: Callable[[Task], bool], error_for: Callable[[Task], RunwareError]
    ) -> None:
        """Release callers that wait for outcomes to be written, because the disk may hang.

        A result is still written as soon as that is possible, and left to the next process.

        Args:
            is_due: returns whether to release the callers of a task.
            error_for: returns the error for the callers instead of a result.
        """
        for effect in (*_take_due(self._in_commit, is_due), *_take_due(self._effects, is_due)):
            is_error = isinstance(effect.outcome, RunwareError)
            outcome = effect.outcome if is_error else error_for(effect.task)
            self._recorded([Settle(effect.task, outcome)])

    def forget(self, uuid: str) -> None:
        """Forget a task whose result was acknowledged."""
        row = self.unacknowledged.pop(uuid, None)
        if row is not None:  # else its result could not be written
            self._acknowledged.append(Forget(row))
            self.touch()

    def set_apart(self, uuid: str) -> None:
        """Move an unreadable result to a table that is never read."""
        self._acknowledged.append(SetApart(self.unacknowledged[uuid]))
        self.forget(uuid)

    def touch(self) -> None:
        """Schedule a commit with the current session and the time."""
        if not self._has_work:
            self._has_work = True
            self._work.set()

    async def run(self) -> None:
        """Write changes until cancelled. A commit that has begun is completed first."""
        while not self._broken:
            await self._work.wait()
            self._work, self._has_work = anyio.Event(), False
            with anyio.CancelScope(shield=True):
                changes, self._in_commit, written = self._take()
                self._being_written = written
                try:
                    await run_in_thread(
                        self._journal.commit, changes, self._session_uuid(), limiter=self._thread
                    )
                except Exception as error:  # noqa: BLE001  # whatever it is, callers wait for this
                    self._give_up(self._in_commit, error)
                else:
                    self._recorded(self._in_commit)
                self._in_commit, self._being_written = [], None
                written.set()

    def close(self) -> None:
        """Write and report the remaining effects, and close the journal."""
        changes, effects, written = self._take()
        try:
            if not self._broken:
                self._journal.commit(changes, self._session_uuid())
        except Exception as error:  # noqa: BLE001  # as above
            self._give_up(effects, error)
        else:
            self._recorded(effects)
        self._broken = True
        self._journal.close()
        written.set()

    def _take(self) -> tuple[list[Change], list[Record | Settle], anyio.Event]:
        changes, effects = self._acknowledged + self._changes, self._effects
        self._acknowledged, self._changes, self._effects = [], [], []
        written, self._written = self._written, anyio.Event()
        return changes, effects, written

    def _give_up(self, effects: list[Record | Settle], error: Exception) -> None:
        """Return the outcomes in spite of the failure. Tasks that were not written are not sent."""
        if not isinstance(error, JournalError):
            reason = f"a bug in runware_ws: {type(error).__name__}"
            error = JournalError(str(self._journal.path), reason)
        self._broken, self._failure = True, error
        self._recorded([effect for effect in effects if isinstance(effect, Settle)])
        self._failed(error)


def _take_due(effects: list[Record | Settle], is_due: Callable[[Task], bool]) -> list[Settle]:
    """Remove the outcomes of due tasks from a list, and return them."""
    due = [one for one in effects if isinstance(one, Settle) and is_due(one.task)]
    taken = set(map(id, due))
    effects[:] = [one for one in effects if id(one) not in taken]
    return due


def change_of(effect: Record | Settle) -> Change | None:
    """Return the change to the journal by an effect, or None."""
    task = effect.task
    if task.origin is None:  # it was attached by its UUID; an entry with it is of another task
        return None
    if isinstance(effect, Settle):
        return _ending(task, effect.outcome)
    flags = (task.polled, task.owned)
    return Keep(task.uuid, task.wire_uuid, task.attempts, *flags, task.origin)


def _ending(task: Task, outcome: dict[str, Any] | RunwareError) -> Change | None:
    if not isinstance(outcome, RunwareError):
        return KeepResult(task.origin.row, outcome)
    if isinstance(outcome, _CLIENT_ENDED):
        return None
    return Forget(task.origin.row)
