"""Limit the pending tasks and bytes. Callers above the limit wait, by priority."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import anyio

from ..errors import TaskTimeoutError
from ..protocol.priority_queue import PriorityQueue
from .concurrency import Notification, new_waiter, wake

# Inputs larger than this are read just before they are sent, and wait apart from small ones.
_LARGE_BYTES = 64 * 1024
# The share of the bytes that small inputs may use in addition, if large ones use all.
_SHARE_OF_SMALL = 8
# The number of bytes of large inputs that are read, or wait in memory to be sent. One for each
# connection is always allowed. Holding more would not send them any sooner.
_AHEAD_BYTES = 1024 * 1024
# The number of small inputs that enter before a waiting large one, at the limit of `max_tasks`.
_TURN_OF_LARGE = 8


class Sized(Protocol):
    """An object with a size that is admitted."""

    size: int


class _Entrant:
    __slots__ = ("admitted", "entrance", "priority", "size")

    def __init__(self, size: int, priority: int) -> None:
        self.size = size
        self.priority = priority
        self.entrance = new_waiter()
        self.admitted = False


class Admission:
    """Limits tasks, bytes of encoded input, and large inputs that are not sent yet.

    An input larger than the byte limit is admitted when no other large one is pending. Small inputs
    never wait for large ones: if large ones use all bytes, small ones may use an eighth more.

    Args:
        max_tasks: number of tasks.
        max_bytes: bytes of encoded input.
        connections: returns the number of connections.

    Attributes:
        tasks: number of admitted tasks.
        bytes: number of their bytes.
        unsent_tasks: number of large tasks that are not sent; `sent` must be called for each.
    """

    def __init__(self, max_tasks: int, max_bytes: int, connections: Callable[[], int]) -> None:
        self._max_tasks = max_tasks
        self._max_bytes = max_bytes
        self._connections = connections
        self._small: PriorityQueue[_Entrant] = PriorityQueue()
        self._large: PriorityQueue[_Entrant] = PriorityQueue()
        self._large_tasks = 0
        self._large_bytes = 0
        self.unsent_tasks = 0  # of the large ones
        self._unsent_bytes = 0
        self._small_in_a_row = 0  # that entered while large ones wait
        self._emptied = Notification()
        self.tasks = 0
        self.bytes = 0

    @property
    def waiting(self) -> int:
        """Return the number of callers that wait for admission."""
        return self._small.count + self._large.count

    def try_enter(self, size: int) -> bool:
        """Enter without waiting, if there is room and no other caller waits."""
        if size > _LARGE_BYTES:
            if self._large.count or not self._fits(size):
                return False
            self.enter_anyway(size)
            return True
        if self._small.count or not self._fits(size):
            return False
        self.tasks += 1
        self.bytes += size
        return True

    def enter_anyway(self, size: int) -> None:
        """Enter regardless of the limits, for tasks that were pending before."""
        self.tasks += 1
        self.bytes += size
        if size > _LARGE_BYTES:
            self._large_tasks += 1
            self._large_bytes += size
            self.unsent_tasks += 1
            self._unsent_bytes += size

    async def enter(self, size: int, priority: int = 0) -> None:
        """Enter, and wait for room if necessary. A cancelled call takes no room."""
        if self.try_enter(size):
            return
        waiter = _Entrant(size, priority)
        queue = self._large if size > _LARGE_BYTES else self._small
        queue.add(waiter, priority)
        try:
            await waiter.entrance
        except BaseException:
            if waiter.admitted:
                self.leave(size)
            else:
                queue.remove(waiter, priority)
                self._admit()
            raise

    async def wait_empty(self) -> None:
        """Wait until no task is pending."""
        while self.tasks:
            await self._emptied.wait()

    def resize(self, old: int, new: int) -> None:
        """Replace an estimated size by the true one."""
        self._leave(old)
        self._sent(old)
        self.enter_anyway(new)
        self._admit()

    def sent(self, size: int) -> None:
        """Record that an input is being sent, so that another one can be read."""
        self._sent(size)
        if self._large.count:
            self._admit()

    def leave(self, size: int, is_sent: bool = False) -> None:
        """Leave, and make room. `is_sent` says whether `sent` was called."""
        if size > _LARGE_BYTES:
            self._leave(size)
            if not is_sent:
                self._sent(size)
        else:
            self.tasks -= 1
            self.bytes -= size
        if self._small.count or self._large.count:
            self._admit()
        if not self.tasks:
            self._emptied.notify()

    def _leave(self, size: int) -> None:
        self.tasks -= 1
        self.bytes -= size
        if size > _LARGE_BYTES:
            self._large_tasks -= 1
            self._large_bytes -= size

    def _sent(self, size: int) -> None:
        if size > _LARGE_BYTES:
            self.unsent_tasks -= 1
            self._unsent_bytes -= size

    @contextmanager
    def given_back_on_error(self, source: Sized) -> Iterator[None]:
        """Leave again if the block raises an exception."""
        try:
            yield
        except BaseException:
            self.leave(source.size)
            raise

    def _fits(self, size: int) -> bool:
        if self.tasks >= self._max_tasks:
            return False
        if size <= _LARGE_BYTES:
            if self.bytes + size <= self._max_bytes or not self.tasks:
                return True
            small_bytes = self.bytes - self._large_bytes
            return small_bytes + size <= self._max_bytes // _SHARE_OF_SMALL
        is_ahead = self.unsent_tasks >= max(1, self._connections())
        if is_ahead and self._unsent_bytes + size > _AHEAD_BYTES:
            return False
        return self.bytes + size <= self._max_bytes or not self._large_tasks

    def _admit(self) -> None:
        while (queue := self._next_queue()) is not None:
            waiter = queue.pop()
            is_small = queue is self._small
            self._small_in_a_row = self._small_in_a_row + 1 if is_small and self._large.count else 0
            self.enter_anyway(waiter.size)
            waiter.admitted = True
            wake(waiter.entrance)

    def _next_queue(self) -> PriorityQueue[_Entrant] | None:
        """Return the queue whose next caller may enter; None if there is none.

        Small inputs come first, except before some large ones, and those with a higher priority.
        """
        queues = [one for one in (self._small, self._large) if one.count]
        if len(queues) > 1:
            is_higher = self._large.first().priority > self._small.first().priority
            if is_higher or self._small_in_a_row >= _TURN_OF_LARGE:
                queues.reverse()
        return next((one for one in queues if self._fits(one.first().size)), None)


@contextmanager
def time_limit(
    task_uuid: str, timeout: float | None, deadline: float | None, obstacle: str
) -> Iterator[None]:
    """Raise TaskTimeoutError if the deadline passes, with the obstacle as its detail."""
    with anyio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
        yield
    if scope.cancelled_caught:
        raise TaskTimeoutError(task_uuid, "queued", timeout or 0.0, obstacle)
