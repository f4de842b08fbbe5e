"""Reconcile tasks in doubt: the one mechanism for every kind of doubt.

A task is in doubt when its connection ended, when a frame could not be read, when an error came
that names no task, when an error may or may not be the task's own, and when the server is silent
for longer than its own wait. Then the server is asked: with `getResponse`, and if that finds
nothing with `getTaskDetails`. The two make up a round; rounds go on with backoff.

The rules, which follow from the evidence alone:

- A result settles the task, wherever it comes from.
- Known to the server (acknowledged, in progress, a conflict, details that hold its request): it is
  never sent again. It is asked for until its deadline.
- "None", "not found" and silence prove nothing by themselves: a server may say them of a task that
  it has just received, or that it is running. A task that was written is absent only after several
  rounds over a window longer than the server may be late.
- Where the service is known to refuse a UUID that it knows, one round is enough: the refusal of a
  resend is evidence, too.
- An absent task is sent again under the same UUID, if the caller allows it. Under a service that
  neither finds what it runs nor refuses a UUID that it knows, that runs the task twice: nothing in
  the protocol can tell such a task from one that never arrived.
- An error that answers a question is about the question. It fails the task only if the details
  confirm it, or if it comes again and again while the details are silent.
- A new UUID is used only after the server declared that the old attempt failed.

Errors that name no task are handled in `runware_ws.protocol.attribution`.

Invariants: each task in doubt has a question open or a time at which it is asked next, and both
have a backoff, so no doubt lasts for ever and none is a busy loop. Nothing here knows whether a
session was really resumed, or whether what was written to a dying connection arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..error_codes import code_info
from ..errors import ResultLostError, TaskNotFoundError
from ..settings import Settings
from .backoff import ceiling
from .connection_state import ConnectionState, answered, connection_for
from .retries import Retries
from .task_table import TaskTable
from .tasks import NEVER_WRITTEN, WRITE, WRITTEN, Evidence, Question, Stage, Task, Transition, move
from .wire import ErrorItem

# So many rounds that found nothing make a task absent, once they took longer than the window.
_MIN_MISSES = 3
# So many equal errors in answer to questions, with no other answer between, are the task's error. A
# service that answers a third of all questions by an error does so once in a million questions.
_MIN_FAILURES = 12
# Polls are moved to the next full tick, so that those of many tasks share a frame.
_TICKS_PER_SECOND = 100.0
_POLL_FACTOR = 1.25


class Reconciler:
    """Finds out about tasks in doubt.

    Args:
        table: the tasks.
        settings: the client's settings.

    Attributes:
        retries: runs tasks again that failed.
    """

    def __init__(self, table: TaskTable, settings: Settings) -> None:
        self.retries = Retries(table, settings.max_retries)
        self._table = table
        self._timers = table.timers
        self._timing = settings.timing
        self._window = settings.doubt_window

    # Doubt begins.

    def connection_lost(
        self,
        connection: ConnectionState,
        unwritten: Iterable[Task],
        others: Sequence[ConnectionState],
        now: float,
    ) -> None:
        """Put in doubt all that was sent, or asked for, on a connection that is lost.

        Args:
            connection: the connection that is lost.
            unwritten: tasks in a frame that was cut off.
            others: the other connections, on which to ask for them; if there are none, they wait
                for the next.
            now: the time.
        """
        table = self._table
        table.limit.unattributed -= connection.counted_errors
        for task in unwritten:
            if task.stage is Stage.SENT:
                task.writes -= 1
                if not task.writes:  # it cannot have arrived: its frame was not complete
                    task.evidence = Evidence.NEVER_WRITTEN
                    table.put_back(task)
        questions = {task for queue in connection.questions.values() for task in queue}
        for task in table.in_flight():
            is_asked_here = task.asked_on is connection or task in questions
            if is_asked_here or (task.connection is connection and task.asked is None):
                self.lost_sight_of(task, connection_for(task, others), now)

    def lost_sight_of(self, task: Task, other: ConnectionState | None, now: float) -> None:
        """Put a task in doubt. Without another connection, the next one asks for it."""
        self._table.resends.pop(task, None)  # it is asked for first
        self._table.unloaded.pop(task, None)
        move(task, Transition.DOUBT)
        answered(task)
        if task.evidence is Evidence.REFUSED:
            task.evidence = Evidence.WRITTEN  # it was sent again, and may run by now
        self._timers.schedule(task, None)
        if other is not None and other.replay_end is None:
            self.ask(other, task, now)

    def connection_ready(self, connection: ConnectionState, resumed: bool, now: float) -> None:
        """Await the replay, if one can come, and then ask."""
        if not resumed:
            self.replay_over(connection, now)
            return
        connection.replay_end = now + self._timing.replay_quiet
        connection.replay_limit = now + self._timing.replay_limit

    def replay_goes_on(self, connection: ConnectionState, now: float) -> None:
        """Wait for more of a replay, after a part of it has come."""
        if connection.replay_end is not None:
            connection.replay_end = min(now + self._timing.replay_quiet, connection.replay_limit)

    def replay_over(self, connection: ConnectionState, now: float) -> None:
        """Ask for all tasks that the replay has not settled."""
        connection.replay_end = None
        waiting = [
            task
            for task in self._table.in_flight()
            if task.stage is Stage.RECONCILING and task.asked is None
        ]
        for task in waiting:
            self.ask(connection, task, now)
        if waiting:
            text = f"asking for {len(waiting)} tasks whose fate is in doubt"
            self._table.notify("reconciling", text, count=len(waiting))

    def doubt(self, connection: ConnectionState, tasks: Iterable[Task], now: float) -> None:
        """Put tasks of the present connection in doubt, and ask for them."""
        for task in tasks:
            move(task, Transition.DOUBT)
            self.ask(connection, task, now)

    # Asking.

    def ask(self, connection: ConnectionState, task: Task, now: float) -> None:
        """Ask for the result of a task, unless the last question may still be answered."""
        if task.asked is not None and not self._is_unanswered(task, now):
            self._timers.schedule(task, now + self._timing.answer_timeout)
        else:
            answered(task)
            self._queue(connection, task, Question.RESULT)

    def ask_first(self, connection: ConnectionState, task: Task) -> None:
        """Ask for a task for the first time."""
        self._queue(connection, task, Question.RESULT)

    def _queue(self, connection: ConnectionState, task: Task, question: Question) -> None:
        connection.questions[question].append(task)
        self._timers.schedule(task, None)  # the clock starts when the question is written

    def _is_unanswered(self, task: Task, now: float) -> bool:
        """Return whether the answer is overdue. Silence of the whole connection proves nothing."""
        connection = task.asked_on
        if connection is None or now < task.answer_by:
            return False
        return now - connection.keepalive.heard_at < self._timing.answer_timeout

    def asked(
        self, connection: ConnectionState, task: Task, question: Question, now: float
    ) -> None:
        """Record that a question about a task is being written."""
        connection.asked[task.wire_uuid] = task
        task.asked, task.asked_at, task.asked_on = question, now, connection
        task.answer_by = now + self._timing.answer_timeout
        task.asks += question is Question.RESULT
        self._timers.schedule(task, task.answer_by)

    def written(self, connection: ConnectionState, tasks: Iterable[Task], now: float) -> None:
        """Record that tasks are being written."""
        overdue = now + self._timing.overdue
        for task in tasks:
            move(task, WRITE)
            if task.bulk:
                self._table.move_bulk(task, connection)
            else:
                task.connection = connection
            if not task.in_flight_when_sent:
                self._table.enter_flight(task)
            if task.evidence is NEVER_WRITTEN:
                task.evidence = WRITTEN
            task.writes += 1
            task.sent_at = now
            if task.polled:
                self._timers.schedule(task, now + self._early_look(task))
            elif task.due is not None and task.due <= overdue:  # it is looked at before
                task.wake = overdue
            else:
                self._timers.schedule(task, overdue)

    def _early_look(self, task: Task) -> float:
        return max(self._timing.early_look, self._poll_delay(task.asks))

    def due(self, connection: ConnectionState, task: Task, now: float) -> None:
        """Do what is due for a task that was written; questions go out on `connection`."""
        asked_on = task.asked_on
        if asked_on is None:
            if task.stage is Stage.SENT and not task.polled:
                move(task, Transition.DOUBT)
            self.ask(connection, task, now)
        elif self._is_unanswered(task, now):
            asked_on.note_unanswered()
            is_spoiled = asked_on.is_spoiled
            self.nothing(asked_on, task, answered(task), now, spoiled=is_spoiled)
        else:
            if now >= task.answer_by:  # the connection is silent as a whole
                asked_on.keepalive.ping_wanted = not asked_on.keepalive.awaits_bytes
            self._timers.schedule(task, now + self._timing.answer_timeout / 2)

    def poll_later(self, task: Task, now: float) -> None:
        """Ask for a task again after a delay that grows."""
        delay = self._poll_delay(task.asks)
        if task.misses and task.evidence is not Evidence.KNOWN:
            delay = max(delay, ceiling(task.misses, self._timing.poll))
            left = task.missed_since + self._window - now
            if left > 0:  # it is known to be absent no later than that
                delay = min(delay, left)
        then = max(now + delay, task.sent_at + self._timing.earliest)
        tick = int(then * _TICKS_PER_SECOND) + 1
        self._timers.schedule(task, tick / _TICKS_PER_SECOND)

    def _poll_delay(self, asks: int) -> float:
        """Return the delay before the next question: a quarter of the time so far, at most."""
        return ceiling(asks, self._timing.poll, _POLL_FACTOR)

    # Answers.

    def alive(self, task: Task, now: float) -> None:
        """Handle a sign that the server is working on the task."""
        task.evidence = Evidence.KNOWN
        move(task, Transition.ACCEPT)
        task.forget_doubt()
        self._table.clear(task)
        self.poll_later(task, now)

    def known_alone(self, task: Task, now: float) -> None:
        """Handle a sign that the server knows the task, without its state."""
        task.evidence = Evidence.KNOWN
        move(task, Transition.ACCEPT)
        self._table.clear(task)
        if task.spoiled:
            self._not_answered(task, now)
        else:
            task.failure = None
            task.count_miss(now)
            self._known_but_not_found(task, now)

    def nothing(
        self,
        connection: ConnectionState,
        task: Task,
        question: Question | None,
        now: float,
        failure: ErrorItem | None = None,
        *,
        spoiled: bool = False,
    ) -> None:
        """Continue after a question that found nothing, or was answered by an error.

        The error is `failure` if it is known to be about this task; else it has only `spoiled` the
        round.
        """
        if question is None:
            return
        task.asked_alone |= spoiled
        is_first = question is Question.RESULT  # of the round
        if failure is not None:
            spoiled |= is_first or code_info(failure.code).retryable
            if is_first:
                task.count_failure(failure, now)
        task.spoiled = spoiled or (task.spoiled and not is_first)
        # Of a task that is known, the details are asked for less and less often.
        is_time = task.evidence is not Evidence.KNOWN or not task.misses & (task.misses - 1)
        if is_first and is_time and self._timing.asks_details:
            self._queue(connection, task, Question.DETAILS)
        else:
            self._missed(connection, task, now)

    def unclear(self, task: Task, now: float, error: ErrorItem | None = None) -> None:
        """Ask again later: the details say neither that the task failed nor that it is absent."""
        if error is None:
            self.poll_later(task, now)
        else:
            task.count_failure(error, now)
            self._not_answered(task, now)

    def _missed(self, connection: ConnectionState, task: Task, now: float) -> None:
        """Conclude a round in which neither way of asking found the task."""
        if task.spoiled:
            self._not_answered(task, now)
            return
        task.failure = None
        if task.uuid_of_attempt is not None and not task.writes:  # nobody has run it yet
            task.evidence = Evidence.NEVER_WRITTEN
            self._table.put_back(task)
            return
        task.count_miss(now)
        lasted = now - task.missed_since
        is_certain = task.misses >= _MIN_MISSES and lasted >= self._window
        rejection = task.rejection
        if is_certain and rejection is not None and not self.is_unproven(task, rejection):
            self.retries.failed(task, rejection, now)
        elif task.evidence is Evidence.KNOWN:
            self._known_but_not_found(task, now)
        elif is_certain or _was_refused(task):
            self._absent(task, lasted, now)
        elif self._is_safe_to_resend(connection, task, now):
            self.send_again(task)
        else:
            self.poll_later(task, now)

    def is_unproven(self, task: Task, error: ErrorItem) -> bool:
        """Return whether a refusal may be older than the last sending, which may run by now.

        It matters to a caller who must never pay twice.
        """
        if self._table.may_resend or not task.writes or not code_info(error.code).no_room:
            return False
        was_sent_elsewhere = not task.sent_at  # by an earlier process, nobody knows how often
        return was_sent_elsewhere or (task.writes > 1 and task.evidence is Evidence.WRITTEN)

    def only_a_refusal_known(self, connection: ConnectionState, task: Task, now: float) -> None:
        """Continue after details with a refusal that may be older than the last sending."""
        task.spoiled = False
        self._missed(connection, task, now)

    def _not_answered(self, task: Task, now: float) -> None:
        """Conclude a round in which an error answered in place of the task.

        The end of a wait, and lack of room, are held to be the task's error only after long.
        """
        failure = task.failure
        if failure is None:
            self.poll_later(task, now)
            return
        info = code_info(failure.code)
        window = self._timing.living_window if info.timed_out else self._window
        window = self._timing.known_limit if info.no_room else window
        if task.failures < _MIN_FAILURES or now - task.failing_since < window:
            self.poll_later(task, now)
        elif task.evidence is not WRITTEN and _is_same(failure, task.refusal):
            # It was sent again after that refusal, of which alone the server still knows.
            self.retries.refused(task, failure, now, was_named=True, new_uuid=True)
        elif self.is_unproven(task, failure):
            self.send_again(task)
        else:
            was_named = failure.task_uuid is not None
            self.retries.failed(task, failure, now, was_named=was_named)

    def _known_but_not_found(self, task: Task, now: float) -> None:
        lasted = now - task.missed_since
        if task.remembered and task.misses >= _MIN_MISSES and lasted >= self._window:
            # It does not work on the task, so that it has refused it, and will never run it.
            self._table.requeue(task, now, new_uuid=True, step=0)
        elif task.deadline is None and lasted > self._timing.known_limit:
            known = "the service had the task, and has no outcome for it"
            self._table.settle(task, ResultLostError(task.uuid, known))
        else:
            self._table.clear(task)
            self.poll_later(task, now)

    def _absent(self, task: Task, lasted: float, now: float) -> None:
        connection = task.connection
        if connection is None or connection.ended:
            self.send_again(task)
        elif connection.inquiry is not None and connection.inquiry.suspects_owner(task):
            connection.inquiry.set_absent(task)
            self.poll_later(task, now)  # until the search has come to its end
        elif lasted < self._wait_for_answer(task, connection):
            self.poll_later(task, now)  # its answer may still come on this connection
        else:
            self.send_again(task)

    def _wait_for_answer(self, task: Task, connection: ConnectionState) -> float:
        """Return how long a task must be absent before it is sent again on a live connection.

        One that has had an error waits for the search for others: its next error would join it.
        """
        is_search_open = task.had_error and connection.inquiry is not None
        return self._timing.inquiry_limit if is_search_open else self._timing.living_window

    def _is_safe_to_resend(self, connection: ConnectionState, task: Task, now: float) -> bool:
        """Return whether the service would refuse the task if it had arrived."""
        safe = self._timing.safe_resend
        if safe is None or now - task.sent_at < safe or not task.payload:
            return False
        return self._table.may_resend and connection.inquiry is None and not _lives(task.connection)

    def send_again(self, task: Task) -> None:
        """Send an absent task again, if the caller allows it."""
        self._table.oversize_suspects.discard(task)
        if not task.can_be_sent:
            self.not_found(task)
        elif not self._table.may_resend:
            known = (
                "it was sent, and the service does not find it; it was not sent again (on_doubt)"
            )
            self._table.settle(task, ResultLostError(task.uuid, known))
        else:
            self._table.counters.resent += 1
            task.forget_doubt()
            move(task, Transition.DOUBT)
            answered(task)  # a question that is open needs the timer
            self._timers.schedule(task, None)
            if task.stored:
                self._table.load(task)
            else:
                self._table.send_again(task)

    def not_found(self, task: Task, reason: str = "") -> None:
        """Settle a task that is absent and cannot be sent again, for a reason if one is known."""
        text = "the service does not know this task, or no longer"
        text += f"; it cannot be sent again: {reason}" if reason else ""
        self._table.settle(task, TaskNotFoundError("taskNotFound", text, task.uuid))

    def known(self, connection: ConnectionState, task: Task, now: float) -> None:
        """Handle a conflict: the server knows the task, and has not sent its outcome."""
        task.remembered |= task.evidence is Evidence.REFUSED
        task.evidence = Evidence.KNOWN
        move(task, Transition.ACCEPT)
        self._table.clear(task)
        if task.asks:  # a conflict in answer to a question: with backoff
            self.poll_later(task, now)
        else:
            self.ask(connection, task, now)

    def confirm(
        self, connection: ConnectionState, task: Task, rejection: ErrorItem, now: float
    ) -> None:
        """Ask whether an error is the task's own, or of a later sending or a question."""
        task.rejection = rejection
        move(task, Transition.DOUBT)
        answered(task)
        self._queue(connection, task, Question.DETAILS)


def _is_same(error: ErrorItem, other: ErrorItem | None) -> bool:
    return other is not None and other.code == error.code


def _was_refused(task: Task) -> bool:
    """Return whether a refusal that named no task is certainly that of this one."""
    inquiry = None if task.connection is None else task.connection.inquiry
    if inquiry is None or not inquiry.is_exact or not inquiry.are_refusals:
        return False
    return inquiry.suspects_owner(task)


def _lives(connection: ConnectionState | None) -> bool:
    return connection is not None and not connection.ended
