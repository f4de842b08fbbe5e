"""Reconcile: one mechanism for every doubt about a task.

A task is in doubt (`Stage.SUSPECT`) when its connection ended, when an error came that names no
task, when a frame could not be read, and when the server is silent for longer than its own wait.

What this knows: the same task under the same UUID may always be sent again, since the server
either takes it (it never arrived) or answers with a conflict (it is known) [S]. So every doubt
ends, in this order: the replay settles it; `getResponse` does; the server does not know it and
it is sent again; it conflicts, and `getTaskDetails` or a later `getResponse` finds it; nothing
is left to try.

What it refuses to know: whether a session was really resumed, whether bytes written to a dying
connection arrived, and what an error that names nobody means for anybody in particular. Such an
error belongs to the only candidate, if there is only one, and if it is not of a kind that may
pass: a retry has a new UUID, and needs the server's own word. If not, all candidates are asked for,
in one go; those that the server does not know are sent again one at a time, each alone on the
connection. When an error comes then, the task is asked for: if it is unknown it was refused, and
the error is its own if it was the only one meanwhile. Others may fail just then, so if there were
more it is sent alone again.

Invariants: a task is in one step at a time, and each step has a moment at which it ends, so no
doubt lasts for ever; a UUID is never replaced here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from ..error_codes import code_info
from ..errors import ProtocolError, ResultLostError, RunwareError, TaskNotFoundError
from .backoff import poll_delay
from .connection_state import ConnectionState
from .task_table import TaskTable
from .tasks import Stage, Step, Task, Transition, move
from .wire import ErrorItem

__all__ = ["Reconciler"]

# The server waits about 120 s for a sync task [S]; a little before, it is asked.
OVERDUE = 110.0
# An acknowledgment may come without a name [S], and a task sent alone keeps others waiting: after
# this long the server is asked whether it has them.
EARLY_LOOK = 0.25
# A question without an answer for so long is answered: the server does not know the task.
ANSWER_TIMEOUT = 5.0
# After an answer that names no task ("none of these"), answers that name one are still awaited.
NO_GRACE = 0.5
# A replay is over when nothing has come for this long, and at the latest after the limit.
REPLAY_QUIET = 0.2
REPLAY_LIMIT = 2.0
# A task sent alone that is not refused within this time is past the server's checks.
ALONE_LIMIT = 10.0
# How long a task that the server is known to know, but says nothing of, is asked for: the
# server's own wait, and as long again for the buffers behind it.
KNOWN_LIMIT = 240.0
# So many answers of "none" that name no task are enough for one that was only asked for.
_UNNAMED_NOES = 3
# Polls are moved to the next full tick, so that those of many tasks share a frame.
_TICKS_PER_SECOND = 100.0


class Reconciler:
    """Finds out about tasks in doubt, on the present connection."""

    def __init__(self, table: TaskTable) -> None:
        self._table = table
        self._tasks = table.tasks
        self._timers = table.timers
        self.careful = False

    def connection_lost(self) -> None:
        """Everything on its way is in doubt."""
        for task in self._tasks.values():
            if task.stage is Stage.QUEUED:
                continue
            move(task, Transition.DOUBT)
            task.step = Step.REPLAY
            self._timers.schedule(task, None)

    def connection_ready(self, link: ConnectionState, resumed: bool, now: float) -> None:
        """Wait for the replay, if one can come, and then ask."""
        if not resumed:
            self.replay_over(link, now)
            return
        link.replay_end = now + REPLAY_QUIET
        link.replay_limit = now + REPLAY_LIMIT

    def replay_goes_on(self, link: ConnectionState, now: float) -> None:
        """A result came unasked while the replay was waited for."""
        if link.replay_end is not None:
            link.replay_end = min(now + REPLAY_QUIET, link.replay_limit)

    def replay_over(self, link: ConnectionState, now: float) -> None:
        """Ask for all that the replay has not settled."""
        link.replay_end = None
        waiting = [task for task in self._tasks.values() if task.step is Step.REPLAY]
        if self.careful:
            link.doubted.update(waiting)
        for task in waiting:
            self.ask(link, task, now)
        if waiting:
            text = f"asking for {len(waiting)} tasks whose fate is in doubt"
            self._table.notify("reconciling", text, count=len(waiting))

    def doubt(self, link: ConnectionState, tasks: Iterable[Task], now: float) -> None:
        """Ask for tasks of which the present connection leaves something unclear."""
        for task in tasks:
            move(task, Transition.DOUBT)
            self.ask(link, task, now)

    def ask(self, link: ConnectionState, task: Task, now: float) -> None:
        """Ask for the result of a task."""
        task.step = Step.ASKED
        if self.awaits_answer(link, task, now):
            self._timers.schedule(task, now + ANSWER_TIMEOUT)
            return
        self._queue_question(link, task)
        self._timers.schedule(task, None)  # the clock starts when the question is written

    def _queue_question(self, link: ConnectionState, task: Task) -> None:
        link.answered(task)  # an earlier one came to nothing; others wait for it no longer
        link.asks.append(task)

    def awaits_answer(self, link: ConnectionState, task: Task, now: float) -> bool:
        """Whether a question for the task may still be answered. There is no second one meanwhile:
        when answers have no name, the one that is left over would be taken for another task's.
        """
        if task.uuid not in link.asked:
            return False
        return now - task.asked_at < ANSWER_TIMEOUT or now - link.heard_at >= ANSWER_TIMEOUT

    def asked(self, link: ConnectionState, task: Task, now: float) -> None:
        """The question for a task is being written."""
        link.asked[task.uuid] = task
        task.asked_at = now
        task.asks += 1
        if task.stage is not Stage.SENT:  # there its own answer has the time it needs
            self._timers.schedule(task, now + ANSWER_TIMEOUT)

    def written(self, link: ConnectionState, task: Task, now: float) -> None:
        """A task is being written."""
        move(task, Transition.WRITE)
        task.step = Step.NONE
        task.writes += 1
        task.sent_at = now
        self._timers.schedule(task, self._look_at(link, task, now))

    def _look_at(self, link: ConnectionState, task: Task, now: float) -> float:
        """When to ask for a task that was sent: early if no answer of its own need come."""
        overdue = task.sent_at + OVERDUE
        if not task.polled and link.probe is not task:
            return overdue
        return min(overdue, now + max(EARLY_LOOK, poll_delay(task.asks)))

    def alive(self, link: ConnectionState, task: Task, now: float) -> None:
        """The server said that it knows the task and is not done."""
        move(task, Transition.ACCEPT)
        link.clear(task)
        task.known_since = None
        self._poll_later(task, now)

    def _poll_later(self, task: Task, now: float) -> None:
        task.step = Step.NONE
        tick = int((now + poll_delay(task.asks)) * _TICKS_PER_SECOND) + 1
        self._timers.schedule(task, tick / _TICKS_PER_SECOND)

    def unknown(self, link: ConnectionState, task: Task, now: float, *, sure: bool = False) -> None:
        """The server does not know the task, or says nothing. With `sure`, it named the task."""
        if task.stage is Stage.SENT:
            return  # sent after it was asked for: its own answer is still to come
        if not sure and not task.payload and task.stage is Stage.ACCEPTED:
            task.known_since = task.known_since or now
        if task.known_since is not None:
            self._known_but_not_found(link, task, task.known_since, now)
        elif task.step is Step.RESEND:
            return  # said before
        elif task.payload:
            self._send_again(link, task)
        elif not sure and task.asks < _UNNAMED_NOES:  # it may have been meant for another
            self._poll_later(task, now)
        else:
            text = "the service does not know this task, or no longer"
            self._table.settle(task, TaskNotFoundError("taskNotFound", text, task.uuid))

    def _send_again(self, link: ConnectionState, task: Task) -> None:
        if task.stage is Stage.ACCEPTED:
            move(task, Transition.DOUBT)
        link.end_probe(task)
        task.step = Step.RESEND
        self._timers.schedule(task, None)
        link.resends.append(task)

    def _known_but_not_found(
        self, link: ConnectionState, task: Task, since: float, now: float
    ) -> None:
        if task.step is Step.DETAILED and now - since > KNOWN_LIMIT:
            known = "the service says that it had the task, and has no outcome for it"
            self._table.settle(task, ResultLostError(task.uuid, known))
        elif task.step is Step.DETAILED:
            task.no_details = True
            self._poll_later(task, now)
        elif task.hearsay and task.payload:
            # Perhaps it was said of another: sent again, the task conflicts, or is run.
            self._send_again(link, task)
        else:  # perhaps it failed, and the answer had no name: that of the details has one
            task.no_details = False
            self.known(link, task, now)

    def question_failed(
        self, link: ConnectionState, task: Task, explicit: bool, now: float
    ) -> None:
        """An error of the service's own answered a question: of the question, or of the task?

        It says itself that it is the question's (`explicit`), or the details are to say so.
        """
        if explicit or task.step is Step.DETAILED:
            self._poll_later(task, now)
        else:
            task.step = Step.DETAILED
            link.details.append(task)
            self._timers.schedule(task, None)

    def wait_ended(self, link: ConnectionState, task: Task, asked: bool, now: float) -> None:
        """An error tells of a wait that is over. The task need not be, and runs on [D].

        When it was asked for, that may have come unasked all the same, just before the answer:
        only the details say whether the task has failed. Where there are none, the same answer to
        a second question does.
        """
        if asked:
            self.known(link, task, now)
        elif task.step is Step.NONE:
            self.doubt(link, (task,), now)

    def known(
        self, link: ConnectionState, task: Task, now: float, *, hearsay: bool = False
    ) -> None:
        """The server knows the task, but did not tell its outcome.

        With `hearsay`, an error says so that names no task, and perhaps meant another.
        """
        move(task, Transition.ACCEPT)
        link.clear(task)
        task.hearsay = hearsay and (task.hearsay or task.known_since is None)
        if task.known_since is None:
            task.known_since = now
        task.step = Step.DETAILED
        link.details.append(task)
        self._timers.schedule(task, None)

    def nothing_found(self, link: ConnectionState, now: float) -> list[Task]:
        """An answer says "none" and names no task: those that are surely meant by it.

        One such answer may stand for one question or for a whole frame of them. When there were
        as many as questions, all are answered; till then a short grace is given to the rest.
        """
        link.noes += 1
        asked = list(link.asked.values())
        if link.noes >= len(asked):
            link.asked.clear()
            link.noes = 0
            return asked
        for task in asked:
            self._timers.schedule(task, now + NO_GRACE)
        return []

    def owner_of(self, link: ConnectionState, fault: ErrorItem, now: float) -> Task | None:
        """Whose error this is that names no task; None when that must be found out first."""
        candidates = list(islice(self._candidates(), 2))
        alone = link.probe
        if len(candidates) == 1 and not self._has_abandoned(now) and not link.awaits_pong:
            (only,) = candidates
            # What may pass is no word on a task, unless that was just asked for: one that runs
            # all the same would be run twice, since a retry has another UUID.
            if only.uuid in link.asked or not code_info(fault.code).retryable:
                return self._only(only)
        if alone is not None and code_info(fault.code).conflict:
            return alone  # no other was sent
        if alone is not None:
            link.errors_during_probe.append(fault)
            link.probe_end = now + ALONE_LIMIT
        link.unattributed_error = True
        return None

    def look_into(self, link: ConnectionState, now: float) -> None:
        """Ask for all whom errors without a name, or frames that were unreadable, may concern."""
        if link.unattributed_error:
            candidates = list(self._candidates())
            link.doubted.update(candidates)
            self.doubt(link, (one for one in candidates if one.step is Step.NONE), now)
        else:
            sent = [task for task in self._tasks.values() if task.stage is Stage.SENT]
            self.doubt(link, sent, now)
        link.unattributed_error = link.missed_answer = False

    def _only(self, task: Task) -> Task:
        if task.writes > 1:  # so there may be more errors, and others by then
            self._abandon(task)
        return task

    def _abandon(self, task: Task) -> None:
        """The server may still speak of a task that is let go, if it was sent; not for ever."""
        if not task.writes:
            return
        abandoned = self._table.abandoned
        while abandoned and (oldest := next(iter(abandoned))) and abandoned[oldest] < task.sent_at:
            del abandoned[oldest]
        abandoned[task.uuid] = task.sent_at + KNOWN_LIMIT

    def _has_abandoned(self, now: float) -> bool:
        abandoned = self._table.abandoned
        for uuid in [uuid for uuid, until in abandoned.items() if until < now]:
            del abandoned[uuid]
        return bool(abandoned)

    def give_up(self, task: Task, error: RunwareError) -> None:
        """Settle a task without a word from the server, which may still have one to say.

        While an owner is looked for, nobody else is sent alone until that word has come or is
        overdue: without a name, it would be taken for the other's.
        """
        link, end = self._table.link, None
        if link is not None and link.doubted and task.uuid in link.asked:
            end = task.asked_at + ANSWER_TIMEOUT
        if link is not None and link.probe is task:
            end = link.probe_end
        self._abandon(task)
        self._table.settle(task, error)
        if link is not None and end is not None:
            link.probe_end = max(end, link.probe_end or end)
            self._timers.moved = True

    def refusal_of(self, link: ConnectionState, task: Task) -> ErrorItem | None:
        """The error that refused a task which the server says it does not know, if it is sure:
        the task was sent alone, and no other error came since.
        """
        if link.probe is not task or task.stage is Stage.SENT or len(link.errors_during_probe) != 1:
            return None
        return link.errors_during_probe[0]

    def _candidates(self) -> Iterator[Task]:
        """Tasks of which the server may be speaking: all that ever were on their way."""
        return (task for task in self._tasks.values() if task.stage is not Stage.QUEUED)

    def too_big(self, link: ConnectionState, remedy: str) -> None:
        """A connection was closed over a frame's size: its task fails, once it is known which."""
        outstanding = list(link.asked.values())
        outstanding += [task for task in self._tasks.values() if task.stage is Stage.SENT]
        if len(set(outstanding)) == 1:
            (culprit,) = set(outstanding)
            self._table.settle(culprit, ProtocolError(f"task {culprit.uuid}: {remedy}"))
        else:
            self.careful = True

    def due(self, link: ConnectionState, task: Task, now: float) -> bool:
        """The moment of a task's step has come. False: a question about it had no answer."""
        if task.stage is Stage.SENT and now < task.sent_at + OVERDUE:
            self._look_early(link, task, now)
        elif task.stage is Stage.SENT:
            self.doubt(link, (task,), now)
        elif task.step in (Step.ASKED, Step.DETAILED):
            return not self._is_unanswered(link, task, now)
        elif task.step is Step.NONE:
            self.ask(link, task, now)
        return True

    def _look_early(self, link: ConnectionState, task: Task, now: float) -> None:
        """Ask for a task that was sent, if no answer of its own need come."""
        again = self._look_at(link, task, now)
        if self.awaits_answer(link, task, now):
            again = min(again, now + ANSWER_TIMEOUT / 2)
        elif task.polled or link.probe is task:
            self._queue_question(link, task)
        else:
            link.answered(task)  # in vain; it was sent alone, and has had its time
        self._timers.schedule(task, again)

    def _is_unanswered(self, link: ConnectionState, task: Task, now: float) -> bool:
        """Whether no answer came in time. That says nothing while the line as a whole is silent.

        It is looked at more often than that, so that no sign of life is missed.
        """
        if now - link.heard_at >= ANSWER_TIMEOUT:
            self._timers.schedule(task, now + ANSWER_TIMEOUT / 2)
            return False
        link.answered(task)
        return True
