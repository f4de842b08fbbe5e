"""Choose the next frame: everything that is pending, in as few frames as the limits allow.

The writer asks for a frame whenever it is free. So a single pending task is sent alone, and a
thousand pending tasks are sent together. Nothing is delayed to fill a frame.
"""

from __future__ import annotations

from typing import NamedTuple

from ..settings import Settings
from .connection_state import ConnectionState
from .effects import Frame
from .priority_queue import PriorityQueue
from .reconcile import Reconciler
from .secret import Secret
from .task_table import TaskTable
from .tasks import QUEUED, Stage, Task
from .wire import encode_tasks, join_tasks

_PING = encode_tasks([{"taskType": "ping", "ping": True}])
_MAY_BE_ASKED_FOR = (Stage.RECONCILING, Stage.ACCEPTED, Stage.SENT)


class Takes(NamedTuple):
    """The kinds of tasks that may be sent on a connection.

    Attributes:
        small: whether small new tasks may be sent.
        bulk: whether large tasks may be sent.
        has_other: whether there is another connection for large tasks.
        answers: number of tasks with large answers that may be sent.
    """

    small: bool = True
    bulk: bool = False
    has_other: bool = False
    answers: int = 0


class SendQueue:
    """The authentication, new tasks in the order of their submission, and the next frame."""

    def __init__(
        self,
        key: Secret,
        settings: Settings,
        table: TaskTable,
        reconciler: Reconciler,
    ) -> None:
        self._key = key
        self._settings = settings
        self._table = table
        self._reconciler = reconciler
        self._small_in_a_row = 0  # frames of small tasks since one of a large task that waits

    def authentication(self, connection: ConnectionState, deadline: float) -> Frame | None:
        """Return the first frame on a connection, to be answered by `deadline`; None once written.

        It contains only the three members that Runware documents.
        """
        if connection.auth_written:
            return None
        connection.auth_written = True
        connection.auth_deadline = deadline
        members = {"taskType": "authentication", "apiKey": self._key.reveal()}
        if connection.resuming is not None:
            members["connectionSessionUUID"] = connection.resuming
        return Frame(encode_tasks([members]))

    def next(self, connection: ConnectionState, now: float, takes: Takes) -> Frame | None:
        """Return the next frame for a connection that is ready, or None."""
        if connection.keepalive.ping_wanted:
            return Frame(_PING, is_ping=True)
        if self._table.oversize_suspects:
            return None if connection.asked else self._questions(connection, now, limit=1)
        frame = None
        if connection.has_questions:
            frame = self._questions(connection, now, self._settings.max_tasks_per_frame)
        return frame or self._tasks(connection, now, takes)

    def _questions(self, connection: ConnectionState, now: float, limit: int) -> Frame | None:
        if connection.asks_alone:
            return None
        for question, queue in connection.questions.items():
            batch: list[dict[str, str]] = []
            while queue and len(batch) < limit:
                task = queue[0]
                if task.asked is None and task.stage in _MAY_BE_ASKED_FOR:
                    if task.asked_alone and connection.asked:
                        return Frame(encode_tasks(batch)) if batch else None
                    batch.append({"taskType": question.value, "taskUUID": task.wire_uuid})
                    self._reconciler.asked(connection, task, question, now)
                    limit = 1 if task.asked_alone else limit
                queue.popleft()
            if batch:
                return Frame(encode_tasks(batch))
        return None

    def _tasks(self, connection: ConnectionState, now: float, takes: Takes) -> Frame | None:
        table, limit = self._table, self._table.limit
        batch = self._resends(takes) if table.resends else []
        if not batch and takes.small and table.small.count:
            batch = self._pending(table.small, self._room_for_small(takes))
            if batch and table.bulk.count:
                self._small_in_a_row += 1
        if not batch and takes.bulk and table.bulk.count:
            batch = self._pending(table.bulk, self._room_for_bulk(takes))
            if batch:
                self._small_in_a_row = 0
        is_waiting = table.small.count > 0 or table.bulk.count > 0
        limit.wanted = is_waiting or bool(table.resends)
        room = table.room_for_resends() if table.resends else limit.room() - len(batch)
        if limit.wanted and room <= 0:
            table.timers.moved |= limit.note_full(now)
        if not batch:
            return None
        self._reconciler.written(connection, batch, now)
        data = join_tasks([task.payload for task in batch])
        connection.writes(batch, len(data))
        return Frame(data, batch)

    def _room_for_small(self, takes: Takes) -> int:
        """Return the number of small tasks that may be sent. Large tasks have a reserved share."""
        room = self._table.limit.room()
        if not self._table.bulk.count or not (takes.bulk or takes.has_other):
            return room
        return room - max(0, self._share_of_bulk() - self._table.bulk_in_flight)

    def _room_for_bulk(self, takes: Takes) -> int:
        table = self._table
        room = table.limit.room()
        if len(table.bulk.first().payload) <= self._settings.max_frame_bytes:
            room = min(room, takes.answers)  # large frames go wherever a connection is free
        if not table.small.count:
            return room
        return min(room, self._share_of_bulk() - table.bulk_in_flight)

    def _share_of_bulk(self) -> int:
        """Return the number of large tasks in flight while small ones wait: a quarter of the limit.

        If that is less than one, a large task is sent after every three frames of small ones.
        """
        return self._table.limit.limit // 4 or int(self._small_in_a_row >= 3)

    def _resends(self, takes: Takes) -> list[Task]:
        """Return the next tasks to send again here, as many as fit into a frame."""
        batch: list[Task] = []
        resends, size = self._table.resends, 1
        room = min(self._table.room_for_resends(), self._settings.max_tasks_per_frame)
        while len(batch) < room:
            task = next((one for one in resends if takes.bulk or not one.bulk), None)
            if task is None:
                break
            size += len(task.payload) - 1  # a comma, in place of its brackets
            is_full = size > self._settings.max_frame_bytes
            if batch and (is_full or task.alone or batch[0].alone):
                break
            del resends[task]
            batch.append(task)
        return batch

    def _pending(self, pending: PriorityQueue[Task], room: int) -> list[Task]:
        """Return the next pending tasks, as many as fit into a frame and may be sent."""
        batch: list[Task] = []
        size, max_bytes = 1, self._settings.max_frame_bytes
        room = min(room, self._settings.max_tasks_per_frame)
        while pending.count and len(batch) < room:
            queue, at_most = pending.in_a_row()
            taken = 0
            while taken < at_most and len(batch) < room:
                task = queue[0]
                if task.stage is QUEUED:
                    size += len(task.payload) - 1
                    if batch and (size > max_bytes or task.alone or batch[0].alone):
                        pending.took(taken)
                        return batch
                    batch.append(task)
                queue.popleft()
                taken += 1
            pending.took(taken)
        return batch
