"""What goes out next: everything that waits, as few frames as the limits allow.

The writer asks for a frame whenever it is free, so with one task waiting one task is sent, and
with a thousand waiting they leave together. Nothing is delayed to make a frame fuller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..settings import Settings
from .connection_state import ConnectionState
from .effects import Frame
from .reconcile import ALONE_LIMIT, Reconciler
from .secret import Secret
from .tasks import Stage, Step, Task
from .wire import encode_tasks, join_tasks

__all__ = ["SendQueue"]

_PING = encode_tasks([{"taskType": "ping", "ping": True}])


class SendQueue:
    """The key, new tasks in the order of their submission, and the choice of the next frame."""

    def __init__(self, key: Secret, settings: Settings, reconciler: Reconciler) -> None:
        self._key = key
        self._limits = settings
        self._reconciler = reconciler
        self._new: deque[Task] = deque()

    def add(self, task: Task) -> None:
        """Send `task` when its turn comes."""
        self._new.append(task)

    def clear(self) -> None:
        """Forget everything."""
        self._new.clear()

    def waits(self, link: ConnectionState) -> bool:
        """Whether a look for the next frame is worth while."""
        if not link.ready:
            return not link.auth_written
        return bool(
            self._new
            or link.ping_wanted
            or link.asks
            or link.details
            or link.resends
            or link.unattributed_error
            or link.missed_answer
        )

    def authentication(self, link: ConnectionState, deadline: float) -> Frame | None:
        """The first frame on a connection, to be answered by `deadline`; None once written."""
        if link.auth_written:
            return None
        link.auth_written = True
        link.auth_deadline = deadline
        members = {"taskType": "authentication", "apiKey": self._key.reveal()}
        if link.resuming is not None:
            members["connectionSessionUUID"] = link.resuming
        return Frame(encode_tasks([members]))

    def next(self, link: ConnectionState, now: float) -> Frame | None:
        """The next frame for a connection that is ready; None when nothing is to be written."""
        if link.ping_wanted:
            return Frame(_PING, is_ping=True)
        if link.unattributed_error or link.missed_answer:
            self._reconciler.look_into(link, now)
        if link.doubted:
            return self._next_in_doubt(link, now)
        self._reconciler.careful = False
        if link.asks or link.details:
            frame = self._questions(link, now)
            if frame is not None:
                return frame
        return self._tasks(link, now)

    def _next_in_doubt(self, link: ConnectionState, now: float) -> Frame | None:
        """While the owner of an error is looked for, tasks go out one at a time."""
        if link.probe_is_on(now):
            return self._question_about(link, link.probe, now)
        if link.asked:  # an error in answer to a question may have no name either
            return None
        limit = 1 if self._reconciler.careful else None
        return self._one_alone(link, now) or self._questions(link, now, limit)

    def _one_alone(self, link: ConnectionState, now: float) -> Frame | None:
        while link.resends and not _is_resend(link.resends[0]):
            link.resends.popleft()
        if not link.resends:
            return None
        link.start_probe(link.resends[0], now + ALONE_LIMIT)
        return self._write(link, link.resends, _is_resend, now, limit=1)

    def _question_about(self, link: ConnectionState, task: Task | None, now: float) -> Frame | None:
        if task is None or task not in link.asks:
            return None
        link.asks.remove(task)
        if self._reconciler.awaits_answer(link, task, now):
            return None
        self._reconciler.asked(link, task, now)
        return Frame(encode_tasks([{"taskType": "getResponse", "taskUUID": task.uuid}]))

    def _questions(
        self, link: ConnectionState, now: float, limit: int | None = None
    ) -> Frame | None:
        limit = limit or self._limits.max_tasks_per_frame
        for queue, kind in ((link.asks, "getResponse"), (link.details, "getTaskDetails")):
            batch: dict[str, dict[str, str]] = {}  # it may have queued twice
            while queue and len(batch) < limit:
                task = queue.popleft()
                if _is_asked(task) and not self._stands_there(queue, link, task, now):
                    batch[task.uuid] = {"taskType": kind, "taskUUID": task.uuid}
                    self._reconciler.asked(link, task, now)
            if batch:
                return Frame(encode_tasks(list(batch.values())))
        return None

    def _stands_there(
        self, queue: deque[Task], link: ConnectionState, task: Task, now: float
    ) -> bool:
        return queue is link.asks and self._reconciler.awaits_answer(link, task, now)

    def _tasks(self, link: ConnectionState, now: float) -> Frame | None:
        frame = self._write(link, link.resends, _is_resend, now) if link.resends else None
        return frame or self._write(link, self._new, _is_queued, now)

    def _write(
        self,
        link: ConnectionState,
        queue: deque[Task],
        is_wanted: Callable[[Task], bool],
        now: float,
        limit: int | None = None,
    ) -> Frame | None:
        """The head of a queue, up to the limits; what was settled meanwhile is passed over.

        So is what queued twice (see `Reconciler.alive`): once written, it is wanted no more.
        """
        limit = limit or self._limits.max_tasks_per_frame
        batch: list[bytes | bytearray] = []
        size = 1
        while queue and len(batch) < limit:
            task = queue[0]
            if is_wanted(task):
                size += len(task.payload) - 1  # a comma, in place of its brackets
                if batch and size > self._limits.max_frame_bytes:
                    break
                batch.append(task.payload)
                self._reconciler.written(link, task, now)
            queue.popleft()
        return Frame(join_tasks(batch)) if batch else None


def _is_queued(task: Task) -> bool:
    return task.stage is Stage.QUEUED


def _is_resend(task: Task) -> bool:
    return task.step is Step.RESEND


def _is_asked(task: Task) -> bool:
    return task.stage is Stage.SENT or task.step in (Step.ASKED, Step.DETAILED)
