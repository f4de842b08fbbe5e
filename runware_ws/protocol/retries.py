"""Retry tasks that the server declared failed, or settle them with their errors."""

from __future__ import annotations

from ..error_codes import code_info
from ..errors import task_error
from .effects import Retry
from .task_table import TaskTable
from .tasks import Evidence, Task
from .wire import ErrorItem

# These are about the account, or follow from the image.
_OTHER_REASONS = ("PermissionDeniedError", "InsufficientCreditsError", "ContentPolicyError")


class Retries:
    """Retries failed tasks.

    Args:
        table: the tasks.
        max_retries: maximum number of retries of a task.
    """

    def __init__(self, table: TaskTable, max_retries: int) -> None:
        self._table = table
        self._max_retries = max_retries

    def refused(
        self, task: Task, refusal: ErrorItem, now: float, *, was_named: bool, new_uuid: bool
    ) -> None:
        """Send a task again that was refused for lack of room, once there is room. It was not run.

        If the error did not name its task, the limit was lowered before the task was found.
        """
        table, in_flight, sent_at = self._table, task.in_flight_when_sent, task.sent_at
        task.refusal = refusal
        task.evidence = Evidence.REFUSED
        table.counters.refused += 1
        if new_uuid:
            table.requeue(task, now, new_uuid=True, step=0)
        else:
            table.put_back(task)
        if was_named and in_flight:
            table.limit.refused(in_flight, sent_at, now)
            table.timers.moved = True
            table.tell_limit()

    def failed(
        self,
        task: Task,
        error: ErrorItem,
        now: float,
        *,
        was_named: bool = True,
        is_recorded: bool = False,
    ) -> None:
        """Retry a task that failed, or settle it with its error.

        Args:
            task: the task.
            error: its error.
            now: the time.
            was_named: whether the error named the task. If not, the server did not say that this
                very task failed, so the task keeps its UUID.
            is_recorded: whether the details contain the error. Then the server remembers the UUID,
                and would refuse it again.
        """
        info = code_info(error.code)
        if task.inline is not None and _may_be_about_input(error):
            self._table.run_inline(task, task.inline(), new_uuid=was_named)
        elif info.no_room and task.can_be_sent:
            was_sent_once = task.writes == 1 or task.evidence is Evidence.REFUSED
            new_uuid = is_recorded and was_sent_once
            self.refused(task, error, now, was_named=was_named, new_uuid=new_uuid)
        elif info.retryable and task.uuid_of_attempt is not None and not task.writes:
            self._table.requeue(task, now, new_uuid=True, step=0)  # another process ran it
        elif info.retryable and task.can_be_sent and task.attempts <= self._max_retries:
            task.attempts += 1
            self._table.counters.retried += 1
            self._table.effects.append(Retry(task, error.code))
            self._table.requeue(task, now, new_uuid=was_named, step=task.attempts - 2)
        else:
            settled = task_error(error.code, error.message, task.uuid, error.raw, task.attempts)
            self._table.settle(task, settled)


def _may_be_about_input(error: ErrorItem) -> bool:
    """Return whether an error may mean that the service does not have the input.

    This follows from its parameter, or from its code, such as ``mediaNotFound`` or
    ``downloadFailed``. Not all codes are known. So any other final error that names no parameter
    may mean it, too.
    """
    info = code_info(error.code)
    if info.no_room or info.exception in _OTHER_REASONS:
        return False
    parameter = error.raw.get("parameter")
    subject = str(parameter or error.code).lower()  # a parameter may be a list
    if any(word in subject for word in ("image", "media", "download")):
        return True
    return not parameter and not info.retryable
