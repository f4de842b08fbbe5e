"""Keep what is known of one connection. It begins and ends with the connection, so that nothing of
an old one can be mistaken for the new one's."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf

from ..error_codes import code_info
from .keepalive import Keepalive
from .tasks import Question, Task
from .wire import ErrorItem


@dataclass(frozen=True, slots=True)
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
    def has_no_room(self) -> bool:
        """Return whether it is about lack of room."""
        return code_info(self.error.code).no_room

    @property
    def is_refusal(self) -> bool:
        """Return whether it refused a task for lack of room, as far as is known."""
        return self.has_no_room and not self.is_doubtful


@dataclass(slots=True)
class Inquiry:
    """The search for the owners of errors that named no task.

    Attributes:
        since: when it began.
        errors: the errors.
        of_refusals: whether all of them refused tasks for lack of room. Then the owners are those
            that are not found once, as soon as they are no more than the errors.
        suspects: tasks that are being asked for.
        absent: tasks that could not be found, so that each of them was probably refused.
    """

    since: float
    errors: list[Nameless] = field(default_factory=list)
    of_refusals: bool = True
    suspects: set[Task] = field(default_factory=set)
    absent: dict[Task, None] = field(default_factory=dict)

    def clear(self, task: Task) -> None:
        """Rule a task out."""
        self.suspects.discard(task)
        self.absent.pop(task, None)

    def take_error_of(self, task: Task) -> Nameless | None:
        """Take out an error that is probably that of a suspect, which has failed otherwise."""
        is_suspect = task in self.suspects or task in self.absent
        return self.errors.pop() if self.of_refusals and self.errors and is_suspect else None

    def missed(self, task: Task) -> None:
        """Take note that a task could not be found."""
        if task in self.suspects:
            self.suspects.discard(task)
            self.absent[task] = None

    def take_time(self) -> None:
        """Go on as with errors of any other kind: a task is absent if it is not found for long."""
        if self.of_refusals:
            self.of_refusals = False
            self.suspects.update(self.absent)
            self.absent.clear()


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
        unnamed: answers to questions that named no task, since a question was last settled.
        is_spoiled: whether one of them was an error, of whichever task.
        questions: tasks to be asked for, by the way of asking.
        unattributed: errors that named no task and are to be looked into.
        refusals: such errors for lack of room that came while questions were open, so that they
            may have answered these.
        unanswered: questions that were open then, and ended without an answer of their own.
        inquiry: the search for the owners of such errors, or None.
        ended: whether the connection has ended.
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
        self.unnamed = 0
        self.is_spoiled = False
        self.questions: dict[Question, deque[Task]] = {one: deque() for one in Question}
        self.unattributed: list[Nameless] = []
        self.refusals: deque[Nameless] = deque()
        self.unanswered = 0
        self.inquiry: Inquiry | None = None
        self.ended = False
        self._born = now

    @property
    def asks_alone(self) -> bool:
        """True if a question is open that no other may be beside."""
        return len(self.asked) == 1 and next(iter(self.asked.values())).asked_alone

    @property
    def asked_since(self) -> float:
        """Return since when the oldest open question has been open; infinity if there is none."""
        return next(iter(self.asked.values())).asked_at if self.asked else inf

    @property
    def has_questions(self) -> bool:
        """Return whether a task is to be asked for."""
        return bool(self.questions[Question.RESULT] or self.questions[Question.DETAILS])

    @property
    def counted_refusals(self) -> int:
        """Return how many errors without a name `ConcurrencyLimit.unattributed` counts."""
        errors = [] if self.inquiry is None else self.inquiry.errors
        return sum(one.is_counted for one in (*errors, *self.unattributed))

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
            keepalive.ping_due_at if self.ready else None,
        )
        return min((time for time in times if time is not None), default=None)

    def why_dead(self, now: float) -> str:
        """Return why the connection is no good any more; "" while it is."""
        if self.auth_deadline is not None and self.auth_deadline <= now:
            return "no reply to the authentication"
        if self.keepalive.dead_at <= now:
            return "the connection is half-open: no byte came in answer to a ping"
        return ""


def answered(task: Task) -> Question | None:
    """Note that the question about `task` has its answer. Return the question."""
    question, task.asked = task.asked, None
    link, task.asked_on = task.asked_on, None
    if question is not None and link is not None:
        link.asked.pop(task.wire_uuid, None)
        if not link.asked:
            link.unnamed = 0
            link.is_spoiled = False
    return question
