"""How much may be under way at once. Whoever is over the limit waits, first come, first served."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import anyio

from .concurrency import Notification

__all__ = ["Admission"]


class Sized(Protocol):
    """Whatever takes room at the gate."""

    size: int


class _Waiter:
    __slots__ = ("admitted", "event", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.event = anyio.Event()
        self.admitted = False


class Admission:
    """Two limits in one gate: tasks, and bytes of encoded input.

    An input larger than the byte limit is admitted when nothing else is under way.
    """

    def __init__(self, max_tasks: int, max_bytes: int) -> None:
        self._max_tasks = max_tasks
        self._max_bytes = max_bytes
        self._waiters: deque[_Waiter] = deque()
        self._emptied = Notification()
        self.tasks = 0
        self.bytes = 0

    @property
    def waiting(self) -> int:
        """How many wait at the gate."""
        return len(self._waiters)

    def try_enter(self, size: int) -> bool:
        """Enter without waiting, if that is possible and jumps no queue."""
        if self._waiters or not self._fits(size):
            return False
        self.enter_anyway(size)
        return True

    def enter_anyway(self, size: int) -> None:
        """Enter over any limit: what was under way before must go on."""
        self.tasks += 1
        self.bytes += size

    async def enter(self, size: int) -> None:
        """Enter; wait for it if need be. Cancelled while waiting, nothing is taken."""
        if self.try_enter(size):
            return
        waiter = _Waiter(size)
        self._waiters.append(waiter)
        try:
            await waiter.event.wait()
        except BaseException:
            if waiter.admitted:
                self.leave(size)
            else:
                self._waiters.remove(waiter)
                self._admit()
            raise

    async def wait_empty(self) -> None:
        """Wait until nothing is under way."""
        while self.tasks:
            await self._emptied.wait()

    def resize(self, old: int, new: int) -> None:
        """An estimate turns out to be something else."""
        self.bytes += new - old
        self._admit()

    def leave(self, size: int) -> None:
        """Make room."""
        self.tasks -= 1
        self.bytes -= size
        if self._waiters:
            self._admit()
        if not self.tasks:
            self._emptied.notify()

    @contextmanager
    def given_back_on_error(self, source: Sized) -> Iterator[None]:
        """Leave again if what follows on entering fails."""
        try:
            yield
        except BaseException:
            self.leave(source.size)
            raise

    def _fits(self, size: int) -> bool:
        if self.tasks >= self._max_tasks:
            return False
        return self.bytes + size <= self._max_bytes or self.tasks == 0

    def _admit(self) -> None:
        while self._waiters and self._fits(self._waiters[0].size):
            waiter = self._waiters.popleft()
            self.enter_anyway(waiter.size)
            waiter.admitted = True
            waiter.event.set()
