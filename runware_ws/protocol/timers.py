"""When the core wants to be called next: one heap over all tasks.

A task has one moment, its `due`. Moving it leaves the old entry in the heap, where it is
recognised by its time and passed over; when such entries are the majority the heap is made
anew, so memory follows the number of tasks and the cost per task stays constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tasks import Task

__all__ = ["Timers"]

_MIN_STALE = 64


class Timers:
    """The moments at which tasks want attention.

    Attributes:
        moved: whether some moment, a task's or another, may be nearer than it was when the
            session was last asked for the next: so it need not be asked after every change.
    """

    __slots__ = ("_heap", "_order", "_stale", "moved")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Task]] = []
        self._order = count()
        self._stale = 0
        self.moved = True

    def __len__(self) -> int:
        return len(self._heap)

    def schedule(self, task: Task, wake: float | None) -> None:
        """Call for `task` at `wake` or its deadline, whichever is first.

        A moment that is set already and comes sooner stays: being called early costs one look,
        and saves an entry for each task that is settled in time.
        """
        task.wake = wake
        when = task.deadline if wake is None else wake
        if when is None:
            self.disarm(task)
            return
        if task.deadline is not None and task.deadline < when:
            when = task.deadline
        self.look_by(task, when)

    def look_by(self, task: Task, when: float) -> None:
        """Call for `task` at `when` at the latest."""
        if task.due is None or when < task.due:
            self.disarm(task)
            task.due = when
            entry = (when, next(self._order), task)
            heappush(self._heap, entry)
            if self._heap[0] is entry:
                self.moved = True

    def disarm(self, task: Task) -> None:
        """Call for `task` no more."""
        if task.due is None:
            return
        task.due = None
        self._stale += 1
        if self._stale > _MIN_STALE and self._stale * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].due == entry[0]]
            heapify(self._heap)
            self._stale = 0

    def next(self) -> float | None:
        """The next moment, or None."""
        heap = self._heap
        while heap and heap[0][2].due != heap[0][0]:
            heappop(heap)
            self._stale -= 1
        return heap[0][0] if heap else None

    def pop_due(self, now: float) -> Iterator[Task]:
        """Every task whose moment has come; each is then without one."""
        while (when := self.next()) is not None and when <= now:
            _, _, task = heappop(self._heap)
            task.due = None
            yield task
