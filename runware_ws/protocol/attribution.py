"""Errors that name no task, and frames that are too large: whose they are.

Runware documents that an error often names no task, also an error of one task. It must not fail the
others, so it is no task's error until all whose it may be have been asked for. A task that was
refused is not known to the server; so each error belongs to a task that is absent afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from ..error_codes import code_info
from ..errors import ProtocolError
from ..settings import Settings
from .connection_state import ConnectionState, Inquiry
from .reconcile import Reconciler
from .task_table import TaskTable
from .tasks import Evidence, Stage, Task
from .wire import ErrorItem

TooLarge = Literal["sent", "heard"]


class Attribution:
    """Finds the tasks to which errors belong that name none."""

    def __init__(self, table: TaskTable, reconciler: Reconciler, settings: Settings) -> None:
        self._table = table
        self._reconciler = reconciler
        self._retries = reconciler.retries
        self._settings = settings
        self._timing = settings.timing

    def look_into(self, link: ConnectionState, now: float) -> None:
        """Look into errors without a name and frames that could not be read, all that came so far.

        A frame that could not be read may have been the result of any task that was sent.
        """
        if link.unattributed:
            self._inquire(link, now)
        if link.missed_answer:
            link.missed_answer = False
            self._reconciler.doubt(link, self._sent(link), now)

    def _sent(self, link: ConnectionState) -> list[Task]:
        return [task for task in self._written(link) if task.stage is Stage.SENT]

    def _written(self, link: ConnectionState) -> list[Task]:
        return [task for task in self._table.in_flight() if task.link is link]

    def _inquire(self, link: ConnectionState, now: float) -> None:
        """Look for the owners of errors that named no task: ask for all whose they may be."""
        inquiry = link.inquiry
        if inquiry is None:
            inquiry = link.inquiry = Inquiry(now)
        for error, is_doubtful in link.unattributed:
            inquiry.errors.append(error)
            inquiry.doubtful |= is_doubtful
        link.unattributed.clear()
        for task in self._written(link):
            if task.stage is not Stage.RECONCILING and task not in inquiry.suspects:
                inquiry.suspects.add(task)
                self._reconciler.doubt(link, (task,), now)

    def conclude(self, link: ConnectionState, now: float) -> None:
        """Conclude the search for owners, once every suspect was found or is absent, or after long.

        Each error belongs to a task that is absent: it was refused, so the server does not find it.
        If no more tasks are absent than errors came, these are the owners. If more are, a server
        may not find what it runs, and their answers are awaited for a while; or it refused a whole
        frame with one error, so they are sent again, each in a frame of its own.
        """
        inquiry = link.inquiry
        if inquiry is None:
            return
        if inquiry.suspects and now - inquiry.since < self._timing.inquiry_limit:
            return
        absent, errors = list(inquiry.absent), inquiry.errors
        # Which task is told which lack of room makes no difference: each is sent again.
        codes = {"" if code_info(error.code).no_room else error.code for error in errors}
        are_too_many = len(absent) > len(errors)
        if are_too_many and now - inquiry.since < self._timing.living_window:
            return
        link.inquiry = None
        self._table.limit.unattributed = 0
        is_clear = not are_too_many and (len(codes) == 1 or len(absent) == 1)
        if is_clear and (not inquiry.doubtful or _were_suspected_before(absent)):
            for task, error in zip(absent, errors, strict=False):
                self._attribute(task, error, now)
            return
        # Of errors that differ, it is only known whose they are if few are sent at a time.
        for task in absent if len(codes) == 1 else absent[: max(1, len(absent) // 2)]:
            task.alone = True
            task.suspicions += 1
            self._reconciler.send_again(task)

    def _attribute(self, task: Task, error: ErrorItem, now: float) -> None:
        if not code_info(error.code).conflict:
            self._retries.failed(task, error, now, was_named=False)
        elif task.evidence is Evidence.REFUSED:
            self._table.requeue(task, now, new_uuid=True, step=0)
        else:
            task.evidence = Evidence.KNOWN
            task.forget_doubt()
            self._reconciler.poll_later(task, now)

    def too_large(self, link: ConnectionState, which: TooLarge) -> None:
        """Find the task whose frame, or whose answer, was larger than the other side accepts."""
        if which == "sent":
            remedy = "the server refuses a frame of this size: send a smaller image, or its URL"
            self._request_too_large(link, remedy)
        else:
            limit = self._settings.max_size
            remedy = f"its answer is larger than max_size ({limit} bytes): raise max_size"
            self._answer_too_large(link, remedy)

    def _request_too_large(self, link: ConnectionState, remedy: str) -> None:
        """Fail the task whose frame was the largest, or send those apart that shared it."""
        written = self._written(link)
        sent = {task.wire_uuid: task for task in written if task.stage is not Stage.ACCEPTED}
        largest = self._largest_frame(link, sent)
        if len(largest) == 1 and (task := sent.get(largest[0])) is not None:
            self._table.settle(task, ProtocolError(f"task {task.uuid}: {remedy}"))
        else:
            for task in sent.values():
                task.alone = True

    def _largest_frame(self, link: ConnectionState, sent: Mapping[str, Task]) -> Sequence[str]:
        """Return the taskUUIDs of the largest frame that the server may not have taken.

        It has taken each frame of which it has answered a task, and those that came before.
        """
        largest: Sequence[str] = ()
        for uuids in reversed(link.frames):
            if not all(uuid in sent or uuid in self._table.abandoned for uuid in uuids):
                break
            largest = uuids
        return largest

    def _answer_too_large(self, link: ConnectionState, remedy: str) -> None:
        """Fail the task that an answer was awaited for, or have those asked for one at a time."""
        candidates = {*link.asked.values(), *self._sent(link)}
        if len(candidates) == 1:
            (task,) = candidates
            self._table.settle(task, ProtocolError(f"task {task.uuid}: {remedy}"))
        else:
            self._table.careful = candidates


def _were_suspected_before(tasks: Iterable[Task]) -> bool:
    """Return whether all were sent again alone before, and something was refused again."""
    return all(task.suspicions for task in tasks)
