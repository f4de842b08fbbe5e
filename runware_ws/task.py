"""What the caller holds of a task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any

from .errors import RunwareError
from .protocol.tasks import Task
from .results import UpscaleResult
from .runtime.concurrency import Event

if TYPE_CHECKING:
    from .runtime.submission import Intake

__all__ = ["UpscaleTask"]


class UpscaleTask:
    """An upscale task that was submitted. ``await task`` gives its result.

    It settles by itself, whether or not anybody waits. Cancelling a waiter does not cancel the
    task; `cancel` does.
    """

    __slots__ = ("_done", "_intake", "_on_done", "_outcome", "_record", "_size")

    def __init__(self, record: Task, size: int, intake: Intake) -> None:
        self._record = record
        self._size = size
        self._intake = intake
        self._outcome: UpscaleResult | RunwareError | None = None
        self._done: Event | None = None  # made when somebody waits
        self._on_done: Callable[[], None] | None = None

    @property
    def task_uuid(self) -> str:
        """The taskUUID; a retry after a failure on the server's side changes it."""
        return self._record.uuid

    @property
    def state(self) -> str:
        """``queued``, ``sent``, ``accepted``, ``reconciling`` or ``settled``."""
        return self._record.stage.value

    @property
    def done(self) -> bool:
        """Whether it is settled."""
        return self._outcome is not None

    @property
    def settled(self) -> UpscaleResult | RunwareError | None:
        """Its result or its error; None while it is under way."""
        return self._outcome

    def cancel(self) -> None:
        """Give the task up: whoever waits for it gets `TaskCancelledError`.

        The service finishes and bills it all the same if it was sent [S]; its late result is
        dropped. A settled task is left as it is.
        """
        self._intake.cancel(self._record)

    async def result(self) -> UpscaleResult:
        """Wait for the result; once settled, it is there at once. Cancelled, the task goes on.

        Raises:
            RunwareError: the task failed; see `runware_ws.errors`.
        """
        if self._outcome is None:
            await self.end()
        return self.take_or_raise()

    def __await__(self) -> Generator[Any, Any, UpscaleResult]:
        return self.result().__await__()

    def end(self) -> Awaitable[Any]:
        """For this package: wait until it is settled."""
        if self._done is None:
            self._done = self._intake.driver.new_event()
            if self._outcome is not None:
                self._done.set()
        return self._done.wait()

    def take(self) -> None:
        """For this package: the result, if it is one, is in the caller's hands now."""
        if isinstance(self._outcome, UpscaleResult):
            self._intake.taken(self._record)

    def take_or_raise(self) -> UpscaleResult:
        """For this package: the same of a settled task, with its result; its error is raised."""
        outcome = self._outcome
        if isinstance(outcome, UpscaleResult):
            self._intake.taken(self._record)
            return outcome
        raise outcome or RuntimeError("not settled")

    def when_settled(self, callback: Callable[[], None]) -> None:
        """For this package: call `callback` once, on the read path; it must not raise or wait."""
        if self._outcome is not None:
            callback()
        else:
            self._on_done = callback

    def settle(self, outcome: dict[str, Any] | RunwareError) -> int:
        """For this package: take the outcome. How many bytes of input the task held."""
        if isinstance(outcome, RunwareError):
            self._outcome = outcome
        else:
            self._outcome = UpscaleResult(self._record.uuid, outcome, self._record.attempts)
        self._record.owner = None  # a circle would keep the result until the next collection
        if self._done is not None:
            self._done.set()
        if self._on_done is not None:
            self._on_done()
        return self._size

    def __repr__(self) -> str:
        return f"<UpscaleTask {self.task_uuid} {self.state}>"
