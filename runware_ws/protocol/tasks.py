"""The life of a task: one table of transitions, and one function that performs them.

Each row shows the next stage for each transition. Most tasks go through write, accept and settle:

                  write   accept     doubt         retry    settle
    queued        sent    -          -             -        settled
    sent          -       accepted   reconciling   queued   settled
    accepted      -       accepted   reconciling   queued   settled
    reconciling   sent    accepted   reconciling   queued   settled
    settled       -       -          -             -        -

`queued`: not written, or declared failed and waiting for the next attempt. `sent`: written to the
current connection, and not answered. `accepted`: the server said that it knows the task.
`reconciling`: in doubt, so the server is asked. A test compares the table with `TRANSITIONS`.

The stage is the state of a task. Its `Evidence` is the knowledge about it, from which alone the
rules of `runware_ws.protocol.reconcile` follow.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .connection_state import ConnectionState
    from .wire import ErrorItem, Item


class Stage(StrEnum):
    """The stage of a task. Users see the values.

    It is a str because that hashes in C: the table is used several times for each task.
    """

    QUEUED = "queued"
    SENT = "sent"
    ACCEPTED = "accepted"
    RECONCILING = "reconciling"
    SETTLED = "settled"


class Transition(StrEnum):
    """A cause that moves a task to another stage."""

    WRITE = "write"
    ACCEPT = "accept"
    DOUBT = "doubt"
    RETRY = "retry"
    SETTLE = "settle"


class Evidence(StrEnum):
    """The knowledge about a task: what was sent, and what the server said about it."""

    NEVER_WRITTEN = "never written"
    WRITTEN = "written, nothing known"
    KNOWN = "known to the server"
    REFUSED = "declared failed by the server"


class Question(StrEnum):
    """A question to the server about a task, by its taskType on the wire."""

    RESULT = "getResponse"
    DETAILS = "getTaskDetails"


TRANSITIONS: dict[Transition, dict[Stage, Stage]] = {
    Transition.WRITE: {
        Stage.QUEUED: Stage.SENT,
        Stage.RECONCILING: Stage.SENT,
    },
    Transition.ACCEPT: {
        Stage.SENT: Stage.ACCEPTED,
        Stage.ACCEPTED: Stage.ACCEPTED,
        Stage.RECONCILING: Stage.ACCEPTED,
    },
    Transition.DOUBT: {
        Stage.SENT: Stage.RECONCILING,
        Stage.ACCEPTED: Stage.RECONCILING,
        Stage.RECONCILING: Stage.RECONCILING,
    },
    Transition.RETRY: {
        Stage.SENT: Stage.QUEUED,
        Stage.ACCEPTED: Stage.QUEUED,
        Stage.RECONCILING: Stage.QUEUED,
    },
    Transition.SETTLE: {
        Stage.QUEUED: Stage.SETTLED,
        Stage.SENT: Stage.SETTLED,
        Stage.ACCEPTED: Stage.SETTLED,
        Stage.RECONCILING: Stage.SETTLED,
    },
}
# Enumeration members that are used for each task: looking one up takes longer than a call.
WRITE, SETTLE = Transition.WRITE, Transition.SETTLE
QUEUED, RECONCILING = Stage.QUEUED, Stage.RECONCILING
NEVER_WRITTEN, WRITTEN = Evidence.NEVER_WRITTEN, Evidence.WRITTEN


FoundBy = Literal["replayed", "asked", "asked for its details", "sent again"]
"""A way in which the outcome of a task in doubt was found, as in `Stats.recovered`."""


class Task:
    """One task, from submission until it is settled.

    Attributes:
        uuid: its name, which never changes, in lower case: the caller's UUID or a generated one.
        wire_uuid: the taskUUID of the current attempt; a retry may change it.
        former_uuids: the taskUUIDs of earlier attempts.
        payload: its bytes as a frame; b"" if they are unknown (a task attached by its UUID), while
            it is `stored`, and when it is settled.
        stored: whether its bytes are in the journal, to be loaded if it must be sent.
        owned: whether this package generated the UUID, so that no other client can have used it.
        uuid_of_attempt: for a task that other processes may run too, a function that returns the
            taskUUID of an attempt by its number, from 1. The server is asked for such a task before
            it is sent.
        inline: for a task whose image is a UUID, a function that returns its bytes under its first
            UUID with the image itself. It is called if the service has forgotten the image.
        wanted: number of results of a task that is not an upscale task; else 0.
        collected: the results of such a task so far.
        priority: tasks with a higher priority are sent first.
        bulk: whether the task or its answer is so large that small ones must not wait behind it.
        connection: the connection to which it was last written, or None.
        in_flight_when_sent: number of tasks in flight when it was sent, including itself; 0 if
            `ConcurrencyLimit` does not count it as in flight.
        polled: whether the outcome is polled, not pushed: delivery ``async``, or a webhook.
        timeout: seconds from submission until it must be settled, or None.
        deadline: the time at which `timeout` passes, or None.
        origin: data for the journal; not used here.
        stage, evidence: see above.
        due: the next time at which the session handles it; managed by `Timers`.
        wake: the time of its next step, apart from the deadline; None for never.
        attempts: number of attempts: 1, and one more with each retry.
        writes: number of times it was written under its current UUID.
        sent_at: the time at which it was last written.
        asks: number of questions about its result, which determines the backoff.
        asked: the question without an answer so far, or None.
        asked_on: the connection on which the question was asked, or None.
        asked_at: the time at which the question was written.
        answer_by: the time from which the question counts as not answered.
        misses: number of rounds in a row in which no question found it.
        missed_since: the time of the first of these.
        failure: the error that answered the last question, or None.
        failures: number of times in a row that this error was the answer.
        failing_since: the time of the first of these.
        asked_alone: whether it must be asked for while no other question is open.
        spoiled: whether an error answered a question of the current round.
        rejection: an error that may be the answer to its sending, until the server confirms it.
        refusal: the error by which the server last refused it for lack of room, or None.
        remembered: whether the server knows the taskUUID from a sending that it has probably
            refused, by an error that named no task.
        had_error: whether an error without a name is its own, so that no later one can be.
        suspicions: number of times that it may have caused an error that named no task.
        alone: whether it must be written in a frame without other tasks.
        found_by: how a task in doubt was found, as in `Stats.recovered`; "" if it was never in
            doubt.
    """

    # Most tasks never set these, so they cost nothing for each.
    owned = True
    wanted = 0
    priority = 0
    bulk = False
    polled = False
    timeout: float | None = None
    deadline: float | None = None
    origin: Any = None
    attempts = 1
    writes = 0
    stored = False
    former_uuids: tuple[str, ...] = ()
    uuid_of_attempt: Callable[[int], str] | None = None
    inline: Callable[[], bytes | bytearray] | None = None
    connection: ConnectionState | None = None
    in_flight_when_sent = 0
    collected: Sequence[Item] = ()
    stage = Stage.QUEUED
    evidence = Evidence.NEVER_WRITTEN
    due: float | None = None
    wake: float | None = None
    sent_at = 0.0
    asks = 0
    asked: Question | None = None
    asked_at = 0.0
    answer_by = 0.0
    asked_on: ConnectionState | None = None
    misses = 0
    missed_since = 0.0
    failure: ErrorItem | None = None
    failures = 0
    failing_since = 0.0
    asked_alone = False
    spoiled = False
    rejection: ErrorItem | None = None
    refusal: ErrorItem | None = None
    remembered = False
    had_error = False
    suspicions = 0
    alone = False
    found_by: FoundBy | Literal[""] = ""

    def __init__(
        self,
        uuid: str,
        payload: bytes | bytearray = b"",
        timeout: float | None = None,
        now: float = 0.0,
    ) -> None:
        self.uuid = self.wire_uuid = uuid
        self.payload = payload
        if timeout is not None:
            self.timeout = timeout
            self.deadline = now + timeout

    @property
    def attempt_uuids(self) -> tuple[str, ...]:
        """The taskUUIDs of all attempts, in order."""
        return (*self.former_uuids, self.wire_uuid)

    @property
    def can_be_sent(self) -> bool:
        """Return whether its bytes are known, here or in the journal."""
        return self.stored or bool(self.payload)

    @property
    def why_refused(self) -> str:
        """Return the reason why the server has not accepted it yet; "" if there is none."""
        if self.refusal is None or self.evidence is not Evidence.REFUSED:
            return ""
        return f"the service has no room: {self.refusal.code}"

    @property
    def was_refused_by_name(self) -> bool:
        """Return whether the server's last word was a refusal for lack of room that named it."""
        was_named = self.refusal is not None and self.refusal.task_uuid is not None
        return was_named and self.evidence is Evidence.REFUSED

    def count_miss(self, now: float) -> None:
        """Count a round in which no question found the task or its state."""
        if not self.misses:
            self.missed_since = now
        self.misses += 1

    def count_failure(self, failure: ErrorItem, now: float) -> None:
        """Count an error in answer to a question."""
        if self.failure is None or failure.code != self.failure.code:
            self.failures = 0
            self.failing_since = now
        self.failure = failure
        self.failures += 1

    def forget_doubt(self) -> None:
        """Reset the counts, because the server mentioned the task, or it is written again."""
        self.misses = self.failures = 0
        self.failure = self.rejection = None
        self.had_error = self.remembered = False

    def __repr__(self) -> str:
        return f"<Task {self.uuid} {self.stage.value}, {len(self.payload)} bytes>"


def move(task: Task, transition: Transition) -> None:
    """Perform a transition of `task`. One that is not in the table is a bug: it raises KeyError."""
    task.stage = TRANSITIONS[transition][task.stage]
