"""A handle for a submitted task."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Literal

from .results import UpscaleResult
from .runtime.concurrency import uninterruptible

if TYPE_CHECKING:
    from .runtime.base_client import BaseClient
    from .runtime.submission import Submission

TaskState = Literal["queued", "sent", "accepted", "reconciling", "settled"]


@uninterruptible
class UpscaleTask:
    """A submitted task, as returned by `RunwareClient.submit`; ``await task`` returns its result.

    It settles in the background, whether or not anything waits for it. Cancelling a waiter does not
    cancel the task; `cancel` does.

    Functions of asyncio that need a future, such as `asyncio.wait`, take
    ``asyncio.ensure_future(task)``.
    """

    __slots__ = ("_client", "_is_given_up", "_submission")

    def __init__(self, client: BaseClient, submission: Submission) -> None:
        self._client = client  # so that the client lives as long as its tasks
        self._submission = submission
        self._is_given_up = False

    @property
    def task_uuid(self) -> str:
        """The task's UUID, which it keeps for its whole life."""
        return self._submission.uuid

    @property
    def attempt_uuids(self) -> tuple[str, ...]:
        """The taskUUIDs of all attempts. A task that failed is run again under another one."""
        return self._submission.attempt_uuids

    @property
    def tag(self) -> Any:
        """The tag that was given with the image, or None."""
        return self._submission.tag

    @property
    def state(self) -> TaskState:
        """The state of the task.

        ``queued``: not sent yet. ``sent``: sent, not acknowledged. ``accepted``: acknowledged by
        the service. ``reconciling``: the connection was lost or an answer is missing, and the
        service is being asked. ``settled``: there is a result or an error.
        """
        return self._submission.stage.value

    @property
    def done(self) -> bool:
        """Return whether the task is settled."""
        return self._submission.outcome is not None

    def cancel(self) -> None:
        """Cancel the task: callers that wait for it get `TaskCancelledError`.

        The service cannot be told. It finishes and bills a task that was sent, and the late result
        is dropped. A settled task stays as it is. If other callers of this client submitted the
        same idempotency key, the task continues for them.
        """
        if not self._is_given_up:
            self._is_given_up = True
            self._client._cancel(self._submission)

    async def result(self) -> UpscaleResult:
        """Wait for the result. Return it at once if the task is settled.

        Cancelling this call does not cancel the task.

        Raises:
            RunwareError: the task failed; see `RunwareClient.upscale`.
        """
        if self._submission.outcome is None:
            await self._client._wait(self._submission)
        return self._submission.result()

    def __await__(self) -> Generator[Any, Any, UpscaleResult]:
        return self.result().__await__()

    def __repr__(self) -> str:
        return f"<UpscaleTask {self.task_uuid} {self.state}>"
