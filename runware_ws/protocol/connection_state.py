"""Keep the state of one connection. It is created and dropped with the connection, so that nothing
of an old connection is mistaken for the new one's."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from ..error_codes import code_info
from .keepalive import Keepalive
from .occupancy import Occupancy
from .tasks import Question, Task
from .wire import ErrorItem


@dataclass(eq=False, slots=True)
class UnattributedError:
    """An error that named no task.

    Attributes:
        error: the error.
        came_at: when it came.
        may_answer: whether a question was open then, so that it may be the answer.
        is_doubtful: whether it may be of no task that is in flight for another reason; see also
            `ConnectionState.is_doubtful`.
        is_counted: whether `ConcurrencyLimit.unattributed` counts it.
    """

    error: ErrorItem
    came_at: float
    may_answer: bool
    is_doubtful: bool
    is_counted: bool = False

    @property
    def is_of_room(self) -> bool:
        """True if the service refused a task for lack of room."""
        return code_info(self.error.code).no_room

    @property
    def kind(self) -> str:
        """The code; "" for all codes that mean lack of room, since they are handled alike."""
        return "" if self.is_of_room else self.error.code


@dataclass(slots=True)
class Inquiry:
    """The search for the owners of errors that named no task.

    Attributes:
        errors: the errors, in the order in which they came.
        kinds: how many of each kind there are.
        suspects: tasks that are being asked for.
        absent: tasks that could not be found, so that each of them was probably refused.
        ask_at: when to ask for the suspects that are not asked for yet, or to count again.
        count_at: from when on to find out again whether it is exact.
        is_exact: whether each candidate certainly has one of the errors: then, if they are
            refusals, one round of questions that finds nothing makes a suspect absent.
    """

    errors: deque[UnattributedError] = field(default_factory=deque)
    kinds: Counter[str] = field(default_factory=Counter)
    suspects: dict[Task, None] = field(default_factory=dict)
    absent: dict[Task, None] = field(default_factory=dict)
    ask_at: float = inf
    count_at: float = 0.0
    is_exact: bool = False

    @property
    def since(self) -> float:
        """The time at which the oldest error came."""
        return self.errors[0].came_at

    @property
    def candidates(self) -> int:
        """The number of tasks to which the errors may belong."""
        return len(self.suspects) + len(self.absent)

    @property
    def are_alike(self) -> bool:
        """True if all errors are of one kind."""
        return len(self.kinds) == 1

    @property
    def are_as_one(self) -> bool:
        """True if all errors can be handled as if they were of one kind; see `unify`."""
        return len(self.kinds) == 1 or "" in self.kinds

    def unify(self) -> None:
        """Take all errors for refusals for lack of room, if one of them is.

        Whose each of them was is not known. All candidates are sent again then, and those that were
        refused for another reason are refused again.
        """
        room = next((one.error for one in self.errors if one.is_of_room), None)
        if room is not None:
            for one in self.errors:
                one.error = room
            self.kinds = Counter({"": len(self.errors)})

    @property
    def are_refusals(self) -> bool:
        """True if all tasks were refused, for lack of room or as invalid, and none has failed."""
        return all(
            not kind or code_info(kind).exception == "ValidationError" for kind in self.kinds
        )

    @property
    def are_of_room(self) -> bool:
        """True if all errors are refusals for lack of room."""
        return self.kinds.keys() == {""}

    def add(self, errors: Iterable[UnattributedError]) -> None:
        """Add errors to the search."""
        for error in errors:
            self.errors.append(error)
            self.kinds[error.kind] += 1

    def drop(self, count: int) -> list[UnattributedError]:
        """Remove the oldest `count` errors and return them."""
        dropped = [self.errors.popleft() for _ in range(count)]
        self.kinds -= Counter(error.kind for error in dropped)
        return dropped

    def suspects_owner(self, task: Task) -> bool:
        """Return whether a task is a candidate for one of the errors."""
        return task in self.suspects or task in self.absent

    def set_absent(self, task: Task) -> None:
        """Mark a candidate as absent."""
        self.suspects.pop(task, None)
        self.absent[task] = None

    def clear(self, task: Task) -> None:
        """Rule a task out as an owner."""
        self.suspects.pop(task, None)
        self.absent.pop(task, None)


class ConnectionState:
    """The state of one connection.

    Attributes:
        resuming: the session UUID that the authentication names, or None.
        named_session: whether the first authentication on this connection named one.
        ready: whether the server has accepted the key.
        auth_written: whether the authentication was handed to the writer.
        auth_deadline: when a missing reply to the authentication counts as a failure, or None.
        early_error: an error that came before that reply, and may be the reply.
        replay_end: when the replay counts as over, unless more of it comes; None once it is over.
        replay_limit: when the replay is over in any case.
        keepalive: the liveness of the connection.
        sending, receiving: since when it has been busy with large frames.
        sent_bytes: number of bytes of all frames whose writing has begun.
        asked: tasks with an open question, by the UUID that the question named.
        missed_answer: whether an unreadable frame has come since this was last looked into.
        unnamed: number of answers without a taskUUID since the last question was closed.
        is_spoiled: whether one of these was an error.
        questions: tasks to be asked for, by the way of asking.
        unattributed: errors without a taskUUID, whose owners are looked for from `look_at` on.
        look_at: see above.
        inquiry: the search for the owners of earlier such errors, or None.
        asked_at_refusal: whether such an error has come while questions were open. It is reset when
            none is.
        refuses_questions: whether the service has answered questions with such errors.
        bulk_in_flight: number of large tasks that were last written here and count as in flight.
        ended: whether the connection has ended.
        born: when the connection was opened.
        no_older_at: how many tasks had been submitted when none of an earlier connection was left,
            as far as `TaskTable.has_older` has looked; -1 if it has not.
        frames: the taskUUIDs of frames that were written, in order, but for those with a larger or
            equal one after them: each is smaller than the one before.
    """

    def __init__(
        self,
        now: float,
        *,
        resuming: str | None,
        keepalive: float,
        ping_timeout: float,
        gap: float,
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
        self.sending, self.receiving = Occupancy(gap), Occupancy(gap)
        self.sent_bytes = 0
        self.asked: dict[str, Task] = {}
        self.missed_answer = False
        self.unnamed = 0
        self.is_spoiled = False
        self.questions: dict[Question, deque[Task]] = {one: deque() for one in Question}
        self._queues = tuple(self.questions.values())
        self.unattributed: list[UnattributedError] = []
        self.look_at = 0.0
        self.inquiry: Inquiry | None = None
        self.asked_at_refusal = False
        self.refuses_questions = False
        self.bulk_in_flight = 0
        self.ended = False
        self.frames: list[list[str]] = []
        self._frame_sizes: list[int] = []
        self.born = now
        self.no_older_at = -1

    @property
    def asks_alone(self) -> bool:
        """True if the only open question is one that must be open without others."""
        return len(self.asked) == 1 and next(iter(self.asked.values())).asked_alone

    @property
    def counted_errors(self) -> int:
        """The number of errors without an owner that `ConcurrencyLimit.unattributed` counts."""
        inquired = () if self.inquiry is None else self.inquiry.errors
        return sum(error.is_counted for error in (*self.unattributed, *inquired))

    @property
    def has_questions(self) -> bool:
        """Return whether questions are waiting to be sent."""
        results, details = self._queues
        return bool(results or details)

    def is_doubtful(self, error: UnattributedError) -> bool:
        """Return whether an error may be of no task that is in flight, as far as is known by now.

        It answers no question, once all questions that were open have other answers.
        """
        if error.is_doubtful or not error.may_answer or self.refuses_questions:
            return error.is_doubtful or error.may_answer
        oldest = next(iter(self.asked.values()), None)
        return oldest is not None and oldest.asked_at <= error.came_at

    def note_unanswered(self) -> None:
        """Record that no answer has come that names the task of a question.

        It was one of those that name none, or else an error that has come meanwhile.
        """
        if self.unnamed:
            self.unnamed -= 1
            return
        self.refuses_questions |= self.asked_at_refusal

    def writes(self, tasks: Sequence[Task], frame_bytes: int) -> None:
        """Record that a frame of tasks is being written."""
        while self._frame_sizes and self._frame_sizes[-1] <= frame_bytes:
            self._frame_sizes.pop()
            self.frames.pop()
        self._frame_sizes.append(frame_bytes)
        self.frames.append([task.wire_uuid for task in tasks])  # which holds no task alive

    def busy_since(self, *, sending: bool, receiving: bool) -> float | None:
        """Return since when it has been busy in one of the directions asked for, or None."""
        times = (
            self.sending.since if sending else None,
            self.receiving.since if receiving else None,
        )
        return min((time for time in times if time is not None), default=None)

    def age(self, now: float) -> float:
        """Return the seconds since the connection was opened."""
        return now - self.born

    def next_timer(self) -> float | None:
        """Return when the connection needs attention next, or None."""
        keepalive = self.keepalive
        times = (
            self.auth_deadline,
            keepalive.dead_at,
            keepalive.look_at,
            self.replay_end,
            self.look_at if self.unattributed else None,
            None if self.inquiry is None else self.inquiry.ask_at,
            keepalive.ping_due_at if self.ready else None,
        )
        return min((time for time in times if time is not None), default=None)

    def why_dead(self, now: float) -> str:
        """Return why the connection is dead; "" while it is alive."""
        if self.auth_deadline is not None and self.auth_deadline <= now:
            return "no reply to the authentication"
        if self.keepalive.dead_at <= now:
            return "the connection is half-open: no byte came in answer to a ping"
        return ""


def connection_for(task: Task, ready: Sequence[ConnectionState]) -> ConnectionState | None:
    """Return that of several connections on which to ask for a task.

    A large task is asked for on the last one, as its answer would delay small ones on the first.
    """
    return None if not ready else ready[-1] if task.bulk else ready[0]


def answered(task: Task) -> Question | None:
    """Close the open question about `task` and return it."""
    question, task.asked = task.asked, None
    connection, task.asked_on = task.asked_on, None
    if question is not None and connection is not None:
        connection.asked.pop(task.wire_uuid, None)
        if not connection.asked:
            connection.unnamed = 0
            connection.is_spoiled = connection.asked_at_refusal = False
    return question
