"""Keep what is known of one connection. It begins and ends with the connection, so that nothing of
an old one can be mistaken for the new one's."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from ..error_codes import code_info
from .keepalive import Keepalive
from .tasks import Question, Task
from .wire import ErrorItem

# So many suspects at most are asked for in a frame each: one empty answer may stand for a frame.
_FEW = 16


@dataclass(eq=False, slots=True)
class Nameless:
    """An error that named no task.

    Attributes:
        error: the error.
        at: when it came.
        is_doubtful: whether it may be of no task that is in flight.
        is_counted: whether `ConcurrencyLimit.unattributed` counts it.
    """

    error: ErrorItem
    at: float
    is_doubtful: bool
    is_counted: bool = False

    @property
    def is_last_word(self) -> bool:
        """Return whether its task cannot succeed after it, unless it is sent again."""
        info = code_info(self.error.code)
        return not (self.is_doubtful or info.conflict or info.timed_out)

    @property
    def kind(self) -> str:
        """Return what tells it from others: lack of room is the same in all its codes."""
        return "" if code_info(self.error.code).no_room else self.error.code


@dataclass(slots=True)
class Inquiry:
    """The search for the owners of errors that named no task.

    Attributes:
        since: when it began.
        errors: the errors.
        suspects: tasks that are being asked for.
        is_exact: whether each suspect must be an owner, as far as is known: then one round suffices
            to see that none of them is known.
        absent: tasks that could not be found, so that each of them was probably refused.
    """

    since: float
    errors: list[Nameless]
    suspects: dict[Task, None]
    is_exact: bool
    absent: dict[Task, None] = field(default_factory=dict)
    _asked: dict[Task, Question] = field(default_factory=dict)

    def other_way(self, task: Task, question: Question) -> Question | None:
        """Return the other way to ask for a task that was not found; None if it was tried."""
        if self._asked.setdefault(task, question) is not question:
            return None
        return Question.RESULT if question is Question.DETAILS else Question.DETAILS

    def missed(self, task: Task) -> None:
        """Take note that a task could not be found."""
        if task in self.suspects:
            del self.suspects[task]
            self.absent[task] = None

    def clear(self, task: Task) -> None:
        """Rule a task out. If it had to be an owner, so may be others that are none."""
        if task not in self.suspects and task not in self.absent:
            return
        self.suspects.pop(task, None)
        self.absent.pop(task, None)
        self.take_time()

    def take_time(self) -> None:
        """Go on as if it were not exact: a task is absent if it is not found for long."""
        if self.is_exact:
            self.is_exact = False
            self.suspects.update(self.absent)
            self.absent.clear()

    def failed(self, task: Task, error: Nameless) -> None:
        """Take a task out that was told its error by name, and the error that it had without."""
        self.suspects.pop(task, None)
        self.absent.pop(task, None)
        self.errors.remove(error)


class ConnectionState:
    """The state of one connection.

    Attributes:
        resuming: the session UUID that the authentication named, or None.
        named_session: whether it named one at first.
        ready: whether the server has accepted the key.
        auth_written: whether the authentication was handed to the writer.
        auth_deadline: when a missing reply to it means failure.
        early_error: an error before that reply, which is perhaps the reply.
        replay_end: until when the replay is awaited; None when it is over.
        replay_limit: when it is over even if it is not quiet.
        keepalive: its liveness.
        asked: tasks with a question that has no answer yet, by the UUID that the question named.
        missed_answer: whether a frame came that could not be read, and is to be looked into.
        asks_apart: whether questions are open that no others may be beside.
        most_asked: the most questions that were open at a time, since there was none.
        unnamed: answers that named no task and found nothing, for questions that are still open.
        had_empty: whether an empty frame was among them, which may answer a frame of questions.
        hurried: whether the open questions have no more than a short grace.
        spoiled_at: when an error without a name last came that may have answered a question.
        questions: tasks to be asked for, by the way of asking.
        withheld: errors that named no task and came while questions were open, so that they may be
            the answers to these.
        owed: questions that ended without an answer, so that it may still come: as an error.
        unattributed: errors that answered no question and are to be looked into.
        look_at: when to look into them.
        inquiry: the search for the owners of some of them, or None.
        is_inherited: whether its session was begun by another process.
        earlier: names of tasks that were in flight when the session was resumed.
        ended: whether the connection has ended.
        frames: the taskUUIDs of frames that were written, in order, but for those with a larger or
            equal one after them: each is smaller than the one before.
    """

    def __init__(
        self, now: float, *, resuming: str | None, keepalive: float, ping_timeout: float
    ) -> None:
        self.resuming = resuming
        self.named_session = resuming is not None
        self.ready = False
        self.auth_written = False
        self.auth_deadline: float | None = None
        self.early_error: ErrorItem | None = None
        self.replay_end: float | None = None
        self.replay_limit = 0.0
        self.keepalive = Keepalive(now, keepalive, ping_timeout)
        self.asked: dict[str, Task] = {}
        self.missed_answer = False
        self.asks_apart = False
        self.most_asked = 0
        self.unnamed = 0
        self.had_empty = False
        self.hurried = False
        self.spoiled_at = -inf
        self.questions: dict[Question, deque[Task]] = {one: deque() for one in Question}
        self._queues = tuple(self.questions.values())
        self.withheld: list[Nameless] = []
        self.owed = 0
        self.unattributed: list[Nameless] = []
        self.look_at = 0.0
        self.inquiry: Inquiry | None = None
        self.is_inherited = False
        self.earlier: set[str] = set()
        self.ended = False
        self.frames: list[list[str]] = []
        self._frame_sizes: list[int] = []
        self._born = now

    @property
    def asked_since(self) -> float:
        """Return since when the oldest open question has been open; infinity if there is none."""
        return next(iter(self.asked.values())).asked_at if self.asked else inf

    def asks_alone_for(self, task: Task) -> bool:
        """Return whether its question is to have a frame of its own: its answer may be empty."""
        inquiry = self.inquiry
        return inquiry is not None and len(inquiry.suspects) <= _FEW and task in inquiry.suspects

    @property
    def has_more_errors_than_questions(self) -> bool:
        """Return whether one more error has come than the open questions have for their answers."""
        return sum(not one.is_counted for one in self.withheld) > len(self.asked)

    def drop_errors(self) -> int:
        """Forget all errors. Return how many of them `ConcurrencyLimit.unattributed` counts."""
        errors = (*self._inquired, *self.unattributed, *self.withheld)
        self.inquiry = None
        self.unattributed, self.withheld = [], []
        return sum(one.is_counted for one in errors)

    def ended_unheard(self, asked_at: float) -> ErrorItem | None:
        """Note that one of the open questions ends without an answer of its own.

        An answer that found nothing may be the one; one that is empty may stand for a whole frame
        of questions. Else an error was its answer: the first that came since, so that all that was
        written before the others is suspected of them; or one that is still to come. Return the
        error if it is known: if there are as many as questions, and all alike.
        """
        if self.unnamed:
            self.unnamed -= 1
            return None
        later = [one for one in self.withheld if one.at >= asked_at and not one.is_counted]
        if self.had_empty:
            for error in later:
                error.is_doubtful = True
        elif later:
            self.withheld.remove(later[0])
            is_known = len(later) >= len(self.asked) and len({one.kind for one in later}) == 1
            return later[0].error if is_known else None
        else:
            self.owed += 1
        return None

    def answered_late(self) -> None:
        """Note an answer to a question that has ended without one."""
        self.owed = max(0, self.owed - 1)

    def doubt_errors(self) -> None:
        """Note that the errors so far may be of none of the tasks that are in flight."""
        if self.inquiry is not None:
            self.inquiry.take_time()
        for error in (*self.withheld, *self.unattributed, *self._inquired):
            error.is_doubtful = True

    @property
    def _inquired(self) -> list[Nameless]:
        return [] if self.inquiry is None else self.inquiry.errors

    def known_to_fail(self, task: Task, code: str) -> Nameless | None:
        """Take out an error without a name, which a task has now been told by name."""
        inquiry = self.inquiry
        if inquiry is not None and (task in inquiry.suspects or task in inquiry.absent):
            for error in inquiry.errors:
                if error.error.code == code:
                    inquiry.failed(task, error)
                    return error
        for errors in (self.unattributed, self.withheld):
            for error in errors:
                if error.error.code == code:
                    errors.remove(error)
                    return error
        return None

    @property
    def has_questions(self) -> bool:
        """Return whether a task is to be asked for."""
        results, details = self._queues
        return bool(results or details)

    def writes(self, tasks: Sequence[Task], frame_bytes: int) -> None:
        """Note that a frame of tasks is being written."""
        while self._frame_sizes and self._frame_sizes[-1] <= frame_bytes:
            self._frame_sizes.pop()
            self.frames.pop()
        self._frame_sizes.append(frame_bytes)
        self.frames.append([task.wire_uuid for task in tasks])  # which holds no task alive

    def age(self, now: float) -> float:
        """Return the seconds since it was opened."""
        return now - self._born

    def next_timer(self) -> float | None:
        """Return when it is to be looked at next, or None."""
        keepalive = self.keepalive
        times = (
            self.auth_deadline,
            keepalive.dead_at,
            keepalive.look_at,
            self.replay_end,
            self._inquiry_due_at,
            keepalive.ping_due_at if self.ready else None,
        )
        return min((time for time in times if time is not None), default=None)

    @property
    def _inquiry_due_at(self) -> float | None:
        """The time at which errors without a name are to be looked into, or None."""
        inquiry = self.inquiry
        if inquiry is None:
            return self.look_at if self.unattributed else None
        is_over = inquiry.is_exact and not inquiry.suspects
        return inquiry.since if is_over and len(inquiry.absent) <= len(inquiry.errors) else None

    def why_dead(self, now: float) -> str:
        """Return why the connection is no good any more; "" while it is."""
        if self.auth_deadline is not None and self.auth_deadline <= now:
            return "no reply to the authentication"
        if self.keepalive.dead_at <= now:
            return "the connection is half-open: no byte came in answer to a ping"
        return ""


def answered(task: Task, *, heard: bool = True) -> Question | None:
    """Note that the question about `task` has ended. Return the question.

    Args:
        task: the task.
        heard: whether it has had its answer, or is known to have none.
    """
    question, task.asked = task.asked, None
    link, task.asked_on = task.asked_on, None
    if question is not None and link is not None:
        if not heard:
            link.ended_unheard(task.asked_at)
        link.asked.pop(task.wire_uuid, None)
        if not link.asked:
            link.unnamed = link.most_asked = 0
            link.had_empty = False
            link.asks_apart = False
    return question
