"""A task of the session with its outcome, for the callers that wait for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import RunwareError
from ..protocol.tasks import Task
from ..results import UpscaleResult
from .concurrency import Waiter, wake


class Submission(Task):
    """A task of the session with its outcome, for the callers that wait for it.

    Attributes:
        size: bytes of input for which it was admitted.
        tag: the caller's tag, or None.
        began: time of the call, or None if that was in another process.
        outcome: its result or its error; None while it is pending.
        waiter: the first waiter for it, or None.
        is_sent: whether it was sent, at least in part.
        sharers: number of further callers with the same job that have not cancelled it.
        content: the hash of its image if the image may be reused; else "".
    """

    size = 0
    content = ""
    is_sent = False
    sharers = 0
    tag: Any = None
    began: float | None = None
    outcome: UpscaleResult | RunwareError | None = None
    waiter: Waiter | None = None
    _more_waiters: list[Waiter] | None = None
    _callbacks: Sequence[Callable[[], None]] = ()

    def shared(self) -> Submission:
        """Add a caller; each cancels independently."""
        self.sharers += 1
        return self

    def result(self) -> UpscaleResult:
        """Return the result of a settled task, or raise its error."""
        if isinstance(self.outcome, UpscaleResult):
            return self.outcome
        raise self.outcome or RuntimeError("not settled")

    def discard(self) -> None:
        """Remove the result of a settled task from the journal, because its caller has given up."""
        if isinstance(self.outcome, UpscaleResult):
            self.outcome.ack()

    def when_settled(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the task is settled. It must not raise or wait."""
        if self.outcome is not None:
            callback()
        else:
            self._callbacks = (*self._callbacks, callback)

    def wake_when_settled(self, waiter: Waiter) -> None:
        """Wake a waiter once the task is settled."""
        waiters = self._more_waiters
        if self.outcome is not None:
            wake(waiter)
        elif self.waiter is None:  # most tasks have one
            self.waiter = waiter
        elif waiters is None:
            self._more_waiters = [waiter]
        else:
            if not len(waiters) & (len(waiters) - 1):  # now and then: some were cancelled
                waiters[:] = [one for one in waiters if not one.done()]
            waiters.append(waiter)

    def finish(self, outcome: UpscaleResult | RunwareError) -> None:
        """Set the outcome, and wake all waiters."""
        self.outcome = outcome
        if self.waiter is not None:
            wake(self.waiter)
            self.waiter = None
        for waiter in self._more_waiters or ():
            wake(waiter)
        if self._callbacks:
            callbacks, self._callbacks = self._callbacks, ()  # they may hold this task
            for callback in callbacks:
                callback()
