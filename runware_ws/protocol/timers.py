"""The times at which the session wants to be called, for each task.

A task has one time, its `due`; tasks with the same time share an entry. An empty entry stays until
its time comes, because the next task probably needs the same time. When most entries are empty,
they are removed. So memory is proportional to the number of tasks, and the cost of a task does not
depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from .tasks import Stage, Task

_MIN_EMPTY = 64


class Timers:
    """The times at which tasks are due.

    Attributes:
        moved: whether any time may be sooner than before, so that the session need not be asked for
            the next time after each change. Who asks for it sets this to False.
    """

    __slots__ = ("_due", "_empty", "_heap", "moved")

    def __init__(self) -> None:
        self._due: dict[float, dict[Task, None]] = {}  # tasks in the order in which they came
        self._heap: list[float] = []
        self._empty = 0
        self.moved = True

    def schedule(self, task: Task, wake: float | None) -> None:
        """Make `task` due at `wake` or at its deadline, whichever is first.

        An earlier time that is already set stays: waking once too early costs less than a new entry
        for each task that is settled in time.
        """
        task.wake = wake
        if wake is not None and task.due is not None and task.due <= wake:
            return
        when = task.deadline if wake is None else wake
        if when is None:
            self.cancel(task)
            return
        if task.deadline is not None and task.deadline < when:
            when = task.deadline
        self.look_by(task, when)

    def look_by(self, task: Task, when: float) -> None:
        """Make `task` due at `when` at the latest."""
        if task.due is not None:
            if task.due <= when:
                return
            self.cancel(task)
        task.due = when
        tasks = self._due.get(when)
        if tasks is None:
            tasks = self._due[when] = {}
            heappush(self._heap, when)
            if self._heap[0] == when:
                self.moved = True
        elif not tasks:
            self._empty -= 1
        tasks[task] = None

    def cancel(self, task: Task) -> None:
        """Cancel the timer of `task`."""
        if task.due is None:
            return
        tasks = self._due[task.due]
        del tasks[task]
        task.due = None
        if not tasks:
            self._empty += 1
            if self._empty > _MIN_EMPTY and self._empty * 2 > len(self._due):
                self._throw_empty_away()

    def _throw_empty_away(self) -> None:
        self._due = {when: tasks for when, tasks in self._due.items() if tasks}
        self._heap = list(self._due)
        heapify(self._heap)
        self._empty = 0

    def next(self) -> float | None:
        """Return the next time, or None."""
        while self._heap and not self._due[self._heap[0]]:
            del self._due[heappop(self._heap)]
            self._empty -= 1
        return self._heap[0] if self._heap else None

    def pop_due(self, now: float) -> Iterator[Task]:
        """Yield each task that is due. After that it is due at its deadline, or as rescheduled."""
        while (when := self.next()) is not None and when <= now:
            for task in list(self._due[when]):
                if task.due != when:  # handling one task may have cancelled another
                    continue
                self.cancel(task)
                yield task
                self._keep_deadline(task, now)

    def _keep_deadline(self, task: Task, now: float) -> None:
        if task.deadline is not None and task.deadline > now and task.stage is not Stage.SETTLED:
            self.look_by(task, task.deadline)
