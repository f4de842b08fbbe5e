"""When the core wants to be called next: the tasks by their moments, and a heap of the moments.

A task has one moment, its `due`; those of the same moment share an entry. An entry that is empty
stays till its moment, since the next task is likely to want the same; when such entries are the
majority they are thrown away, so memory follows the number of tasks and the cost per task stays
constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from .tasks import Stage, Task

__all__ = ["Timers"]

_MIN_EMPTY = 64


class Timers:
    """The moments at which tasks want attention.

    Attributes:
        moved: whether some moment, a task's or another, may be nearer than it was when the
            session was last asked for the next: so it need not be asked after every change.
    """

    __slots__ = ("_due", "_empty", "_heap", "moved")

    def __init__(self) -> None:
        self._due: dict[float, dict[Task, None]] = {}  # in the order in which they came
        self._heap: list[float] = []
        self._empty = 0
        self.moved = True

    def schedule(self, task: Task, wake: float | None) -> None:
        """Call for `task` at `wake` or its deadline, whichever is first.

        A moment that is set already and comes sooner stays: being called early costs one look,
        and saves an entry for each task that is settled in time.
        """
        task.wake = wake
        if wake is not None and task.due is not None and task.due <= wake:
            return
        when = task.deadline if wake is None else wake
        if when is None:
            self.disarm(task)
            return
        if task.deadline is not None and task.deadline < when:
            when = task.deadline
        self.look_by(task, when)

    def look_by(self, task: Task, when: float) -> None:
        """Call for `task` at `when` at the latest."""
        if task.due is not None:
            if task.due <= when:
                return
            self.disarm(task)
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

    def disarm(self, task: Task) -> None:
        """Call for `task` no more."""
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
        """The next moment, or None."""
        while self._heap and not self._due[self._heap[0]]:
            del self._due[heappop(self._heap)]
            self._empty -= 1
        return self._heap[0] if self._heap else None

    def _keep_deadline(self, task: Task, now: float) -> None:
        """Whatever was done about a task, or not: its deadline comes."""
        if task.deadline is not None and task.deadline > now and task.stage is not Stage.SETTLED:
            self.look_by(task, task.deadline)

    def pop_due(self, now: float) -> Iterator[Task]:
        """Every task whose moment has come; each is then without one, but for its deadline."""
        while (when := self.next()) is not None and when <= now:
            for task in list(self._due[when]):
                if task.due != when:  # what is done about one may disarm another
                    continue
                self.disarm(task)
                yield task
                self._keep_deadline(task, now)
