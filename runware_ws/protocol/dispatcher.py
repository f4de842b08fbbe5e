"""Dispatch answers to their tasks: results, errors, signs of life, and doubts to follow up."""

from __future__ import annotations

from ..error_codes import code_info
from ..errors import ProtocolError
from .answers import QUESTIONS, RESULT, Meaning, Subject, meaning_of, meaning_of_other, subject_of
from .connection_state import ConnectionState, UnattributedError, answered
from .reconcile import Reconciler
from .task_table import TaskTable
from .tasks import RECONCILING, Evidence, FoundBy, Question, Stage, Task
from .timing import Timing
from .wire import ErrorItem, Item, unwrap

# How a task in doubt was found, as `Stats.recovered` counts it.
_FOUND_BY: dict[Question | None, FoundBy] = {
    None: "replayed",
    Question.RESULT: "asked",
    Question.DETAILS: "asked for its details",
}


class Dispatcher:
    """Dispatches answers to tasks."""

    def __init__(self, table: TaskTable, reconciler: Reconciler, timing: Timing) -> None:
        self._table = table
        self._reconciler = reconciler
        self._retries = reconciler.retries
        self._timing = timing

    def item(self, connection: ConnectionState, task: Task, item: Item, now: float) -> None:
        """Handle an item that names `task`."""
        meaning = meaning_of_other(item) if task.wanted else meaning_of(item)
        if meaning is RESULT:
            self._result(connection, task, item, now)
        elif task.stage is Stage.QUEUED or not connection.ready or not _names(item, task):
            self._table.counters.dropped += 1  # about an earlier time
        elif meaning is Meaning.DETAILS:
            answered(task)
            self._details(connection, task, item, now)
        else:
            answered(task)
            self._reconciler.alive(task, now)

    def _result(self, connection: ConnectionState, task: Task, item: Item, now: float) -> None:
        if task.stage is RECONCILING:
            task.found_by = _FOUND_BY[task.asked]
            self._reconciler.replay_goes_on(connection, now)
        if task.wanted:
            self._one_of_several(connection, task, item, now)
        else:
            self._table.succeed(task, item, now)

    def _one_of_several(
        self, connection: ConnectionState, task: Task, item: Item, now: float
    ) -> None:
        """Collect a result of a task that may have several, which may come more than once."""
        if item not in task.collected:
            task.collected = [*task.collected, item]
        if len(task.collected) >= task.wanted:
            self._table.succeed(task, {"data": task.collected}, now)
        elif task.stage is not Stage.QUEUED and connection.ready:
            answered(task)
            self._reconciler.alive(task, now)

    def _details(self, connection: ConnectionState, task: Task, item: Item, now: float) -> None:
        response = item.get("response")
        try:
            items, errors = unwrap(response) if isinstance(response, dict) else ([], [])
        except ProtocolError:
            items, errors = [], []
        meaning = meaning_of_other if task.wanted else meaning_of
        results = [one for one in items if meaning(one) is Meaning.RESULT]
        if results:
            task.found_by = _FOUND_BY[Question.DETAILS]
            for result in results[: task.wanted or 1]:
                if task.stage is not Stage.SETTLED:
                    self._result(connection, task, result, now)
        elif errors:
            self._recorded_error(connection, task, errors[0], now)
        elif items:
            self._reconciler.alive(task, now)
        elif item.get("request"):
            self._reconciler.known_alone(task, now)
        else:  # neither absence nor failure
            self._reconciler.unclear(task, now)

    def _recorded_error(
        self, connection: ConnectionState, task: Task, error: ErrorItem, now: float
    ) -> None:
        """Handle an error in the details, the server's record of its last answer.

        That may be the refusal of a later sending, or of a wait that ended.
        """
        info = code_info(error.code)
        if info.not_found:
            self._reconciler.nothing(connection, task, Question.DETAILS, now)
        elif _is_conflict(task, error):
            self._reconciler.known_alone(task, now)
        elif info.no_room and task.remembered:  # under its UUID, a conflict would follow again
            self._retries.refused(task, error, now, was_named=False, new_uuid=True)
        elif info.timed_out or (info.no_room and _was_resent_though_known(task)):
            self._reconciler.unclear(task, now, error)
        elif self._reconciler.is_unproven(task, error):
            self._reconciler.only_a_refusal_known(connection, task, now)
        else:
            self._retries.failed(task, error, now, is_recorded=True)

    def error(self, connection: ConnectionState, task: Task, error: ErrorItem, now: float) -> None:
        """Handle an error that names `task`."""
        if task.stage is Stage.QUEUED or not connection.ready or not _names(error.raw, task):
            self._table.counters.dropped += 1  # about an earlier time
            return
        question = answered(task)
        if question is None and error.task_type in QUESTIONS:
            self._table.counters.dropped += 1
        elif _is_conflict(task, error):
            self._conflict(connection, task, now)
        elif question is not None:
            found_nothing = code_info(error.code).not_found
            self._reconciler.nothing(
                connection, task, question, now, None if found_nothing else error
            )
        else:
            self._error_of_task(connection, task, error, now)

    def _conflict(self, connection: ConnectionState, task: Task, now: float) -> None:
        if task.was_refused_by_name and task.stage is Stage.SENT:
            # The server remembers a UUID that it refused, and will never run it.
            self._table.requeue(task, now, new_uuid=True, step=0)
        else:
            self._reconciler.known(connection, task, now)

    def _error_of_task(
        self, connection: ConnectionState, task: Task, error: ErrorItem, now: float
    ) -> None:
        """Handle an error that answers no question.

        It is the task's own, unless the task was sent or asked for before: then it may be late, or
        the refusal of a later sending.
        """
        info = code_info(error.code)
        if info.not_found or info.timed_out:  # neither says that the task failed
            self._reconciler.doubt(connection, (task,), now)
        elif task.asks or (task.writes > 1 and task.evidence is not Evidence.REFUSED):
            self._reconciler.confirm(connection, task, error, now)
        else:
            self._retries.failed(task, error, now)

    def error_without_name(self, connection: ConnectionState, error: ErrorItem, now: float) -> None:
        """Handle an error that names no task."""
        if subject_of(error, ready=True) is Subject.QUESTION:
            self.nothing_found(connection, now)
            return
        may_answer = bool(connection.asked)
        if may_answer and "status" in error.raw:  # as in answers to `getResponse`
            self.nothing_found(connection, now, error)
            return
        may_be_older = self._table.has_abandoned(now) or self._table.has_older(connection)
        # A conflict is about a task that the server knows, so hardly about one that is absent.
        is_conflict = code_info(error.code).conflict
        is_doubtful = connection.keepalive.awaits_pong or may_be_older or is_conflict
        unattributed = UnattributedError(error, now, may_answer, is_doubtful)
        connection.unattributed.append(unattributed)
        latest = connection.unattributed[0].came_at + self._timing.errors_limit
        connection.look_at = min(now + self._timing.errors_quiet, latest)
        self._table.timers.moved = True
        if not may_answer:
            self._table.refused_unnamed(unattributed, now)
        elif not connection.refuses_questions:
            connection.asked_at_refusal = True
            self._hurry(connection, now)  # so that it is known soon which it was
        else:
            self.nothing_found(connection, now, error)

    def garbled(self, connection: ConnectionState) -> None:
        """Count a frame that could not be read. It may have been any task's result."""
        self._table.counters.garbled += 1
        connection.missed_answer = True

    def nothing_found(
        self, connection: ConnectionState, now: float, failure: ErrorItem | None = None
    ) -> None:
        """Handle an answer that names no task: it may be "none" for any question.

        One such answer may stand for one question or for a whole frame of them. Once there are as
        many as questions, all are answered; until then the rest have a short grace. An empty answer
        may also acknowledge a task, which is asked for early (`Timing.early_look`). An error is
        that of a task only if no other was asked for; so next time each is asked for alone.
        """
        if not connection.asked:
            return
        connection.unnamed += 1
        if failure is not None and len(connection.asked) > 1:
            failure, connection.is_spoiled = None, True
        if connection.unnamed < len(connection.asked):
            self._hurry(connection, now)
            return
        is_spoiled = connection.is_spoiled
        for task in list(connection.asked.values()):
            question = answered(task)
            self._reconciler.nothing(connection, task, question, now, failure, spoiled=is_spoiled)

    def _hurry(self, connection: ConnectionState, now: float) -> None:
        """Shorten the wait for the answers to open questions: one of them may have come.

        A question without an answer will count as refused if there was a refusal, so that answers
        which are merely late are awaited for longer then.
        """
        timing = self._timing
        until = now + (
            timing.refused_grace if connection.asked_at_refusal else timing.unnamed_grace
        )
        for task in reversed(connection.asked.values()):
            if task.answer_by <= until:  # so are those that were asked before
                return
            task.answer_by = until
            self._table.timers.schedule(task, until)


def _names(item: Item | ErrorItem | object, task: Task) -> bool:
    """Return whether an answer is about the present attempt of a task."""
    uuid = item.get("taskUUID") if isinstance(item, dict) else None
    return isinstance(uuid, str) and uuid.lower() == task.wire_uuid


def _was_resent_though_known(task: Task) -> bool:
    return task.writes > 1 and task.evidence is Evidence.KNOWN


def _is_conflict(task: Task, error: ErrorItem) -> bool:
    """Return whether an error says that the server knows the taskUUID from an earlier sending."""
    code = error.code.lower()
    if code_info(code).conflict:
        return task.owned or task.writes > 1
    if task.writes <= 1 or code_info(code).exception != "ValidationError":
        return False
    parameter = error.raw.get("parameter")
    names = parameter if isinstance(parameter, list) else [parameter]
    return code.startswith(("conflict", "duplicate")) or "taskUUID" in names
