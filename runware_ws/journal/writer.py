"""Between the session and the world, when there is a journal: nothing goes on unwritten.

Changes are gathered while a commit is under way and make up the next one, so the more there is
to write, the less each change costs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread

from ..errors import (
    AuthenticationError,
    ClientClosedError,
    ConnectionLostError,
    JournalError,
    RunwareError,
    TaskCancelledError,
    TaskTimeoutError,
)
from ..protocol.effects import Kept, Settle
from ..protocol.tasks import Task
from .store import Change, Forget, Journal, Keep, KeepName, KeepResult

__all__ = ["JournalWriter", "change_of"]

# The client ended, not the task: the next process takes it up.
_OUTLIVED = (AuthenticationError, ClientClosedError, ConnectionLostError, JournalError)
# Nobody waits any more for what was sent; if it is done all the same, it is billed, so the next
# process asks for it.
_GIVEN_UP = (TaskCancelledError, TaskTimeoutError)


class JournalWriter:
    """Writes effects down, and then passes them on.

    Args:
        journal: where to.
        session: gives the session that is open.
        passed: called with each effect that was written.
        failed: called once, when the journal cannot be written any more.

    Attributes:
        untaken: the UUIDs of tasks whose results are in the journal, or on their way there.
    """

    def __init__(
        self,
        journal: Journal,
        session: Callable[[], str | None],
        passed: Callable[[Kept | Settle], None],
        failed: Callable[[JournalError], None],
    ) -> None:
        self.untaken: set[str] = set()
        self._journal = journal
        self._session = session
        self._passed = passed
        self._failed = failed
        self._broken = False
        # What was taken was written in an earlier commit, so it can be forgotten before the rest;
        # like changes in a row cost less.
        self._taken: list[Change] = []
        self._changes: list[Change] = []
        self._effects: list[Kept | Settle] = []
        self._work = anyio.Event()
        self._has_work = False

    def add(self, effect: Kept | Settle) -> None:
        """Write `effect` down and pass it on, after all that came before."""
        if self._broken:
            self._passed(effect)
            return
        change = change_of(effect)
        if change is not None:
            self._changes.append(change)
            if isinstance(change, KeepResult):
                self.untaken.add(change.uuid)
        self._effects.append(effect)
        self.touch()

    def forget(self, uuid: str) -> None:
        """A result was taken."""
        self.untaken.discard(uuid)
        self._taken.append(Forget(uuid))
        self.touch()

    def touch(self) -> None:
        """Write what there is, and the session that is open."""
        if not self._has_work:
            self._has_work = True
            self._work.set()

    async def run(self) -> None:
        """Write whatever comes, until cancelled; what is begun is finished first."""
        while not self._broken:
            await self._work.wait()
            self._work, self._has_work = anyio.Event(), False
            with anyio.CancelScope(shield=True):
                changes, effects = self._take()
                try:
                    commit = self._journal.commit
                    await anyio.to_thread.run_sync(commit, changes, self._session())
                except JournalError as error:
                    self._give_up(effects, error)
                else:
                    self._pass_on(effects)

    def close(self) -> None:
        """Write what is left, pass it on, and let go of the journal."""
        changes, effects = self._take()
        try:
            if not self._broken:
                self._journal.commit(changes, self._session())
        except JournalError as error:
            self._give_up(effects, error)
        else:
            self._pass_on(effects)
        self._broken = True
        self._journal.close()

    def _take(self) -> tuple[list[Change], list[Kept | Settle]]:
        changes, effects = self._taken + self._changes, self._effects
        self._taken, self._changes, self._effects = [], [], []
        return changes, effects

    def _pass_on(self, effects: list[Kept | Settle]) -> None:
        for effect in effects:
            self._passed(effect)

    def _give_up(self, effects: list[Kept | Settle], error: JournalError) -> None:
        """Outcomes are handed over all the same; what was not written is not sent."""
        self._broken = True
        self._pass_on([effect for effect in effects if isinstance(effect, Settle)])
        self._failed(error)


def change_of(effect: Kept | Settle) -> Change | None:
    """What an effect changes in the journal, if anything."""
    task = effect.task
    if task.origin is None:  # asked for by its UUID alone; what stands under that is another's
        return None
    if isinstance(effect, Settle):
        return _ending(task, effect.outcome)
    return Keep(task.uuid, task.attempts, task.polled, task.owned, task.origin)


def _ending(task: Task, outcome: dict[str, Any] | RunwareError) -> Change | None:
    if not isinstance(outcome, RunwareError):
        return KeepResult(task.uuid, outcome)
    if isinstance(outcome, _OUTLIVED):
        return None
    if isinstance(outcome, _GIVEN_UP) and task.writes:
        return KeepName(task.uuid)
    return Forget(task.uuid, task.origin)
