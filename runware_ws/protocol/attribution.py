"""Find the owners of errors that name no task, and of frames that are too large.

Runware documents that an error often names no task, also an error of one task. It must not fail the
others, so it belongs to no task before all candidates have been asked for:

- Such errors come together, so they are collected for a moment (`Timing.errors_quiet`).
- Candidates are all tasks that were written on the connection and have no outcome. They are asked
  for. A result, or the word that the server knows a task, rules it out.
- A task that was refused is not known to the server, so each error belongs to a task that is absent
  in the end.
- Errors are counted: if there are as many as candidates, each candidate has one, and gets it as
  soon as it is absent. The results of the others mostly tell before anything is asked. One round of
  questions confirms that a task was refused; that it failed takes as long as any absence. If some
  errors are refusals for lack of room, all candidates are sent again, since it is not known whose
  the others are.
- An error may be of no candidate: the answer to a question that was open, or of a task that was
  given up or of an earlier connection. More errors than candidates show that. If it is possible,
  absent tasks are sent again alone first; the same error then is theirs. An error is no answer if
  each question that was open has another one.
- Where a service without room refuses questions as well, these refusals do not lower the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Literal

from ..error_codes import code_info
from ..errors import ProtocolError
from ..settings import Settings
from .connection_state import ConnectionState, Inquiry, UnattributedError
from .reconcile import Reconciler
from .task_table import TaskTable
from .tasks import Evidence, Stage, Task
from .wire import ErrorItem

TooLarge = Literal["sent", "heard"]


class Attribution:
    """Finds the tasks that errors without a taskUUID, and oversized frames, belong to."""

    def __init__(self, table: TaskTable, reconciler: Reconciler, settings: Settings) -> None:
        self._table = table
        self._reconciler = reconciler
        self._retries = reconciler.retries
        self._settings = settings
        self._timing = settings.timing

    def look_into_garbled(self, connection: ConnectionState, now: float) -> None:
        """Ask for all tasks that were sent: an unreadable frame may have been the result of any."""
        connection.missed_answer = False
        self._reconciler.doubt(connection, self._sent(connection), now)

    def _sent(self, connection: ConnectionState) -> list[Task]:
        return [task for task in self._written(connection) if task.stage is Stage.SENT]

    def _written(self, connection: ConnectionState) -> list[Task]:
        return [task for task in self._table.in_flight() if task.connection is connection]

    def conclude(self, connection: ConnectionState, now: float) -> None:
        """Begin the search for owners when it is time, and conclude what can be concluded."""
        if connection.unattributed and connection.look_at <= now:
            self._inquire(connection, now)
        inquiry = connection.inquiry
        if inquiry is not None:
            self._conclude(connection, inquiry, now)
            if connection.inquiry is inquiry and inquiry.ask_at <= now:
                inquiry.ask_at = inf
                doubtful = [one for one in inquiry.suspects if one.stage is not Stage.RECONCILING]
                self._reconciler.doubt(connection, doubtful, now)

    def _inquire(self, connection: ConnectionState, now: float) -> None:
        """Collect all candidates of the errors that have come since the last search began."""
        inquiry = connection.inquiry
        if inquiry is None:
            inquiry = connection.inquiry = Inquiry()
        latest = connection.unattributed[-1].came_at  # it is of no task that was sent later
        inquiry.add(connection.unattributed)
        connection.unattributed.clear()
        for task in self._written(connection):
            may_own = self._may_own(task, latest, is_of_room=inquiry.are_of_room)
            if may_own and not inquiry.suspects_owner(task):
                inquiry.suspects[task] = None
        inquiry.is_exact, inquiry.count_at = False, now
        may_wait = self._is_exact(connection, inquiry, now)
        inquiry.ask_at = inquiry.since + self._timing.results_first if may_wait else now
        self._table.timers.moved = True
        self._drop_surplus(connection, inquiry)
        for error in inquiry.errors:
            if not (error.is_counted or (error.may_answer and connection.refuses_questions)):
                self._table.refused_unnamed(error, now)

    def _may_own(self, task: Task, latest: float, *, is_of_room: bool) -> bool:
        """Return whether an error that came by `latest` may belong to a task.

        A task that the server knows is never sent again, so no refusal is taken for its own.
        """
        is_waiting = task.had_error or self._table.is_to_be_sent_again(task)
        is_running = is_of_room and task.evidence is Evidence.KNOWN
        return task.sent_at <= latest and not (is_waiting or is_running)

    def _conclude(self, connection: ConnectionState, inquiry: Inquiry, now: float) -> None:
        """Conclude the search once every suspect was found or is absent, or when it times out.

        Before that, absent tasks get their errors if every candidate must be an owner.
        """
        self._drop_surplus(connection, inquiry)
        if not inquiry.candidates:
            self._end(connection, inquiry)
        elif not inquiry.suspects or now - inquiry.since >= self._timing.inquiry_limit:
            self._conclude_all(connection, inquiry, now)
        elif inquiry.are_as_one and len(inquiry.errors) == inquiry.candidates:
            if not inquiry.is_exact and inquiry.count_at <= now:
                self._count(connection, inquiry, now)
            if inquiry.absent and inquiry.are_alike:
                absent = list(inquiry.absent)
                self._hand_out(connection, inquiry, absent, now)
                inquiry.absent.clear()
                self._drop(inquiry, len(absent))
            if not inquiry.candidates:
                self._end(connection, inquiry)

    def _count(self, connection: ConnectionState, inquiry: Inquiry, now: float) -> None:
        """Confirm by one round of questions that each candidate has an error, if that is certain.

        It takes long if there are many, so it is not done with each frame.
        """
        if not self._is_exact(connection, inquiry, now):
            inquiry.count_at = now + self._timing.errors_quiet
            inquiry.ask_at = min(inquiry.ask_at, inquiry.count_at)
            self._table.timers.moved = True
            return
        inquiry.is_exact = True
        inquiry.unify()
        inquiry.ask_at = now
        for task in list(inquiry.suspects):
            if inquiry.are_refusals and task.misses and task.evidence is not Evidence.KNOWN:
                inquiry.set_absent(task)

    def _is_exact(self, connection: ConnectionState, inquiry: Inquiry, now: float) -> bool:
        """Return whether each error is of a candidate, and no two are of the same."""
        if not inquiry.are_as_one or self._is_doubtful(connection, inquiry, now):
            return False
        candidates = (*inquiry.suspects, *inquiry.absent)
        return all(one.writes == 1 or one.evidence is Evidence.REFUSED for one in candidates)

    def _is_doubtful(self, connection: ConnectionState, inquiry: Inquiry, now: float) -> bool:
        """Return whether one of the errors may belong to no candidate."""
        if self._table.has_abandoned(now):  # by now
            return True
        return any(map(connection.is_doubtful, inquiry.errors))

    def _drop_surplus(self, connection: ConnectionState, inquiry: Inquiry) -> None:
        """Drop the errors beyond the number of candidates: they cannot have an owner.

        If questions were open when they came, they answered these questions: see `_inquire`.
        """
        surplus = len(inquiry.errors) - inquiry.candidates
        if surplus > 0 and inquiry.are_alike:
            oldest = self._drop(inquiry, surplus)
            connection.refuses_questions |= any(error.may_answer for error in oldest)

    def _conclude_all(self, connection: ConnectionState, inquiry: Inquiry, now: float) -> None:
        """Conclude the search.

        Each error belongs to a task that is absent: it was refused, so the server does not find it.
        If no more tasks are absent than errors came, these are the owners. If more are, a server
        may not find what it runs, and their answers are awaited for a while; or it refused a whole
        frame with one error, so they are sent again, each in a frame of its own.
        """
        absent = list(inquiry.absent)
        if absent and not inquiry.suspects:
            self._drop_doubtful(connection, inquiry)
        are_too_many = len(absent) > len(inquiry.errors)
        if are_too_many and now - inquiry.since < self._timing.living_window:
            return
        if inquiry.are_alike and not are_too_many:
            self._hand_out(connection, inquiry, absent, now)
        else:  # errors that differ may be of tasks that were told theirs by name since
            for task in absent:
                task.had_error = not are_too_many
            self._send_again_alone(inquiry, absent)
        self._end(connection, inquiry)

    def _drop_doubtful(self, connection: ConnectionState, inquiry: Inquiry) -> None:
        """Drop errors that may be of no task, if there are enough others for all candidates."""
        certain = [error for error in inquiry.errors if not connection.is_doubtful(error)]
        if inquiry.candidates <= len(certain) < len(inquiry.errors):
            self._drop(inquiry, len(inquiry.errors))
            inquiry.add(certain)
            self._table.limit.unattributed += sum(error.is_counted for error in certain)

    def _hand_out(
        self, connection: ConnectionState, inquiry: Inquiry, owners: Sequence[Task], now: float
    ) -> None:
        """Give each of these tasks an error.

        If an error may belong to none of them, they are sent again alone first.
        """
        is_doubtful = not inquiry.is_exact and self._is_doubtful(connection, inquiry, now)
        if is_doubtful and not all(task.suspicions for task in owners):
            self._send_again_alone(inquiry, owners)
            return
        for task, error in zip(owners, inquiry.errors, strict=False):
            self._attribute(task, error.error, now)

    def _send_again_alone(self, inquiry: Inquiry, tasks: Sequence[Task]) -> None:
        """Send absent tasks again, each in a frame of its own.

        Of errors that differ, it is only known whose they are if few are sent at a time.
        """
        for task in tasks if inquiry.are_alike else tasks[: max(1, len(tasks) // 2)]:
            task.alone = True
            task.suspicions += 1
            self._reconciler.send_again(task)

    def _drop(self, inquiry: Inquiry, count: int) -> list[UnattributedError]:
        """Drop the oldest errors, which the limit then counts no more. Return them."""
        dropped = inquiry.drop(count)
        self._table.limit.unattributed -= sum(error.is_counted for error in dropped)
        return dropped

    def _end(self, connection: ConnectionState, inquiry: Inquiry) -> None:
        self._drop(inquiry, len(inquiry.errors))
        connection.inquiry = None

    def _attribute(self, task: Task, error: ErrorItem, now: float) -> None:
        if not code_info(error.code).conflict:
            self._retries.failed(task, error, now, was_named=False)
        elif task.was_refused_by_name:
            self._table.requeue(task, now, new_uuid=True, step=0)
        else:
            task.forget_doubt()
            task.remembered = task.evidence is Evidence.REFUSED
            task.evidence = Evidence.KNOWN
            self._reconciler.poll_later(task, now)

    def too_large(self, connection: ConnectionState, which: TooLarge) -> None:
        """Find the task whose request or answer exceeded the size limit of the other side."""
        if which == "sent":
            remedy = "the server refuses a frame of this size: send a smaller image, or its URL"
            self._request_too_large(connection, remedy)
        else:
            limit = self._settings.max_size
            remedy = f"its answer is larger than max_size ({limit} bytes): raise max_size"
            self._answer_too_large(connection, remedy)

    def _request_too_large(self, connection: ConnectionState, remedy: str) -> None:
        """Fail the task of the largest frame; if several shared it, send each alone next time."""
        written = self._written(connection)
        sent = {task.wire_uuid: task for task in written if task.stage is not Stage.ACCEPTED}
        largest = self._largest_frame(connection, sent)
        if len(largest) == 1 and (task := sent.get(largest[0])) is not None:
            self._table.settle(task, ProtocolError(f"task {task.uuid}: {remedy}"))
        else:
            for task in sent.values():
                task.alone = True

    def _largest_frame(
        self, connection: ConnectionState, sent: Mapping[str, Task]
    ) -> Sequence[str]:
        """Return the taskUUIDs of the largest frame that the server may not have taken.

        It has taken each frame of which it has answered a task, and those that came before.
        """
        largest: Sequence[str] = ()
        for uuids in reversed(connection.frames):
            if not all(uuid in sent or uuid in self._table.abandoned for uuid in uuids):
                break
            largest = uuids
        return largest

    def _answer_too_large(self, connection: ConnectionState, remedy: str) -> None:
        """Fail the only task that awaits an answer; if there are several, ask for one at a time."""
        candidates = {*connection.asked.values(), *self._sent(connection)}
        if len(candidates) == 1:
            (task,) = candidates
            self._table.settle(task, ProtocolError(f"task {task.uuid}: {remedy}"))
        else:
            self._table.oversize_suspects = candidates
