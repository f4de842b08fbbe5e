"""Retries: tasks that the server declared failed are run again, or settled with their error."""

from __future__ import annotations

from ..error_codes import code_info
from ..errors import task_error
from .effects import Retry
from .task_table import TaskTable
from .tasks import Evidence, Task
from .wire import ErrorItem

# They are about the account, or were told after a look at the image.
_OTHER_REASONS = ("PermissionDeniedError", "InsufficientCreditsError", "ContentPolicyError")


class Retries:
    """Runs tasks again that failed.

    Args:
        table: the tasks.
        max_retries: how often a task that failed is run again.
    """

    def __init__(self, table: TaskTable, max_retries: int) -> None:
        self._table = table
        self._max_retries = max_retries

    def refused(
        self, task: Task, refusal: ErrorItem, now: float, *, was_named: bool, new_uuid: bool
    ) -> None:
        """Send a task again that was refused for lack of room, once there is some: it was not run.

        A refusal without a name has told the limit before it was known which task it is of.
        """
        table, level, sent_at = self._table, task.level, task.sent_at
        task.refusal = refusal
        task.evidence = Evidence.REFUSED
        table.counters.refused += 1
        if new_uuid:
            table.requeue(task, now, new_uuid=True, step=0)
        else:
            table.put_back(task)
        if was_named and level:
            table.limit.refused(level, sent_at, now)
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
        """Run a task again that failed, or settle it with its error.

        Args:
            task: the task.
            error: its error.
            now: the time.
            was_named: whether the error named the task. If not, it is no word of the server on this
                very task, so the task keeps its UUID.
            is_recorded: whether it is in the details: then the server remembers the UUID, and would
                refuse it again.
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
    """Return whether an error may say that the service does not have the input.

    Its parameter says so, or its code, such as ``mediaNotFound`` or ``downloadFailed``. Not all
    codes are known, so any other error that is final and names no parameter may mean that as well.
    """
    info = code_info(error.code)
    if info.no_room or info.exception in _OTHER_REASONS:
        return False
    parameter = error.raw.get("parameter")
    subject = str(parameter or error.code).lower()  # a parameter may be a list
    if any(word in subject for word in ("image", "media", "download")):
        return True
    return not parameter and not info.retryable
