"""What an answer means for its task: result, error, sign of life, or a doubt to follow up."""

from __future__ import annotations

from ..error_codes import code_info
from ..errors import ProtocolError, task_error
from .answers import QUESTIONS, Meaning, Subject, meaning_of, subject_of
from .connection_state import ConnectionState
from .reconcile import Reconciler
from .task_table import TaskTable
from .tasks import Stage, Step, Task
from .wire import ErrorItem, Item, unwrap

__all__ = ["Dispatcher"]


class Dispatcher:
    """Deals with answers about tasks, on the present connection."""

    def __init__(self, table: TaskTable, reconciler: Reconciler, max_retries: int) -> None:
        self._table = table
        self._reconciler = reconciler
        self._max_retries = max_retries

    def item(self, link: ConnectionState, task: Task, item: Item, now: float) -> None:
        """An item that names `task`."""
        if link.asked:
            link.answered(task)
        meaning = meaning_of(item)
        if meaning is Meaning.RESULT:
            self._result(link, task, item, now)
        elif task.stage is Stage.QUEUED or not link.ready:
            self._table.counters.dropped += 1  # about an earlier time
        elif meaning is Meaning.DETAILS:
            self._details(link, task, item, now)
        else:
            self._reconciler.alive(link, task, now)

    def _result(self, link: ConnectionState, task: Task, item: Item, now: float) -> None:
        if task.step is Step.REPLAY:
            self._reconciler.replay_goes_on(link, now)
        self._table.succeed(task, item)

    def _details(self, link: ConnectionState, task: Task, item: Item, now: float) -> None:
        response = item.get("response")
        try:
            items, faults = unwrap(response) if isinstance(response, dict) else ([], [])
        except ProtocolError:
            items, faults = [], []
        results = [one for one in items if meaning_of(one) is Meaning.RESULT]
        if results:
            self._result(link, task, results[0], now)
        elif faults and code_info(faults[0].code).not_found:
            self._unknown(link, task, now, sure=True)
        elif faults:
            self._failed(task, faults[0], now)  # of the task, not of a wait or a question
        else:
            self._reconciler.alive(link, task, now)

    def garbled(self, link: ConnectionState) -> None:
        """A frame could not be read; it may have been anybody's result."""
        self._table.counters.garbled += 1
        if link.probe is not None:
            link.errors_during_probe.append(None)
        link.missed_answer = True

    def nothing_found(self, link: ConnectionState, now: float) -> None:
        """An answer that says "none", and to which question is not said.

        An acknowledgment may be empty too [S]; its task is asked for early (`EARLY_LOOK`).
        """
        if link.asked:
            for task in self._reconciler.nothing_found(link, now):
                self._unknown(link, task, now)

    def anonymous_fault(self, link: ConnectionState, fault: ErrorItem, now: float) -> None:
        """An error that names no task."""
        owner: Task | None
        if subject_of(fault, ready=True) is not Subject.QUESTION:
            owner = self._reconciler.owner_of(link, fault, now)
        elif len(link.asked) == 1:
            (owner,) = link.asked.values()
        else:
            owner = None
            self.nothing_found(link, now)
        if owner is not None:
            self.fault(link, owner, fault, now)

    def fault(self, link: ConnectionState, task: Task, fault: ErrorItem, now: float) -> None:
        """An error of `task`."""
        if task.stage is Stage.QUEUED or (fault.task_type in QUESTIONS and not link.ready):
            self._table.counters.dropped += 1  # about an earlier time
            return
        asked = task.uuid in link.asked or fault.task_type in QUESTIONS
        link.answered(task)
        code = fault.code
        if self._is_conflict(task, fault, asked):
            self._reconciler.known(link, task, now, hearsay=fault.task_uuid is None)
        elif code_info(code).not_found:
            self._unknown(link, task, now, sure=fault.task_uuid is not None)
        elif code_info(code).timed_out and not (asked and task.no_details):
            self._reconciler.wait_ended(link, task, asked, now)
        elif asked and _may_be_of_a_question(fault) and not task.no_details:
            explicit = fault.task_type in QUESTIONS
            self._reconciler.question_failed(link, task, explicit, now)
        elif fault.task_type == "getTaskDetails":  # which the service may not have
            self._unknown(link, task, now)
        elif self._may_be_of_a_sending(task, asked) and self._may_retry(task, fault):
            self._table.retry_in_doubt(task, now)
        else:
            self._failed(task, fault, now)

    @staticmethod
    def _may_be_of_a_sending(task: Task, asked: bool) -> bool:
        """Whether an error may refuse the last sending of a task, of which an earlier one has
        arrived by now and runs: then the server's word on the task is still to come."""
        return task.writes > 1 and (not asked or task.stage is Stage.SENT)

    @staticmethod
    def _is_conflict(task: Task, fault: ErrorItem, asked: bool) -> bool:
        """Whether an error says that the taskUUID is known, as it is by our own doing."""
        if code_info(fault.code).conflict:
            return task.owned or task.writes > 1
        if asked or task.writes <= 1:
            return False
        parameter = fault.raw.get("parameter")
        names = parameter if isinstance(parameter, list) else [parameter]
        return fault.code.lower().startswith(("conflict", "duplicate")) or "taskUUID" in names

    def due(self, link: ConnectionState, task: Task, now: float) -> None:
        """The moment of a task's step has come."""
        if not self._reconciler.due(link, task, now):
            self._unknown(link, task, now)

    def _unknown(
        self, link: ConnectionState, task: Task, now: float, *, sure: bool = False
    ) -> None:
        refusal = self._reconciler.refusal_of(link, task)
        if refusal is None:
            self._reconciler.unknown(link, task, now, sure=sure)
        elif self._is_conflict(task, refusal, asked=False):
            self._reconciler.known(link, task, now, hearsay=True)
        elif self._may_retry(task, refusal):
            self._table.retry_in_doubt(task, now)
        else:
            self._failed(task, refusal, now)

    def _failed(self, task: Task, fault: ErrorItem, now: float) -> None:
        if self._may_retry(task, fault):
            self._table.retry(task, now)
        else:
            error = task_error(fault.code, fault.message, task.uuid, fault.raw, task.attempts)
            self._table.settle(task, error)

    def _may_retry(self, task: Task, fault: ErrorItem) -> bool:
        is_left = task.attempts <= self._max_retries
        return is_left and code_info(fault.code).retryable and bool(task.payload)


def _may_be_of_a_question(fault: ErrorItem) -> bool:
    """Whether an answer to a question may speak of the question, or of nobody. What speaks of the
    task has the task's type [D], and its name: without one it may have come by chance.
    """
    if fault.task_uuid is None and code_info(fault.code).retryable:
        return True
    own = fault.task_type is not None and fault.task_type not in QUESTIONS
    info = code_info(fault.code)
    return (info.no_room or fault.code.lower() == "internalservererror") and not own
