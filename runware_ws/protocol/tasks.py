"""Keep a task and its life: one table of transitions, one function that moves along it.

From each stage, where each transition leads; most lives are write, accept, settle:

                  write   accept     doubt         retry    settle
    queued        sent    -          -             -        settled
    sent          -       accepted   reconciling   queued   settled
    accepted      -       accepted   reconciling   queued   settled
    reconciling   sent    accepted   reconciling   queued   settled
    settled       -       -          -             -        -

`queued`: not written, or declared failed and waiting to be written again. `sent`: written to the
present connection, and not answered. `accepted`: the server said that it knows the task.
`reconciling`: in doubt, so the server is asked. A test compares the table with `TRANSITIONS`.

The stage says where a task is; its `Evidence` says what is known of it, and the rules of
`runware_ws.protocol.reconcile` follow from that alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .connection_state import ConnectionState
    from .wire import ErrorItem, Item


class Stage(StrEnum):
    """The stage of a task; the values are what users see.

    A str hashes in C, which counts because the table is looked up several times a task.
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
    """The knowledge of a task: what the server said of it, and what left this machine."""

    NEVER_WRITTEN = "never written"
    WRITTEN = "written, nothing known"
    KNOWN = "known to the server"
    REFUSED = "declared failed by the server"


class Question(StrEnum):
    """A way of asking the server for a task, by its name on the wire."""

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
# Members of an enumeration that are used for each task: to look one up takes longer than a call.
WRITE, SETTLE = Transition.WRITE, Transition.SETTLE
QUEUED, RECONCILING = Stage.QUEUED, Stage.RECONCILING
NEVER_WRITTEN, WRITTEN = Evidence.NEVER_WRITTEN, Evidence.WRITTEN


class Task:
    """One task, from submission until it is settled.

    Attributes:
        uuid: its name for its whole life, in lower case: the caller's, or one that was made.
        wire_uuid: the taskUUID of the present attempt; another one after a retry.
        former_uuids: the taskUUIDs of earlier attempts.
        payload: its bytes as a frame of its own; b"" if they are not known (a task found by its
            UUID alone), while it is `stored`, and once it is settled.
        stored: whether its bytes are in the journal, to be loaded when it must be sent.
        owned: whether this package made the UUID, so that nobody else can have used it.
        uuid_of_attempt: for a task that other processes may run too: returns the taskUUID of an
            attempt by its number, from 1. Such a task is asked for before it is sent.
        inline: for a task whose image is named by a UUID: returns its bytes under its first UUID
            with the image itself, to be called if the service has forgotten that UUID.
        wanted: for a task that is no upscale task: number of results that settle it; else 0.
        collected: the results of such a task so far.
        priority: tasks of a higher priority are sent first.
        bulk: whether it, or its answer, is so large that small ones are not to wait behind it.
        link: the connection to which it was written last, or None.
        level: number of tasks in flight when it was sent, itself included; 0 if it is not in flight
            by the count of `ConcurrencyLimit`.
        polled: whether the outcome is asked for, not pushed: delivery ``async``, or a webhook.
        timeout: seconds from submission, or None.
        deadline: the same as a time, or None.
        origin: what the journal keeps of it; not used here.
        stage, evidence: see above.
        due: when the session looks at it next; managed by `Timers`.
        wake: when its next step is due, apart from the deadline; None for never.
        attempts: how often it was begun: 1, and one more with each retry.
        writes: how often it was written under its present UUID.
        sent_at: when it was written last.
        asks: how often its result was asked for, which sets the pace.
        asked: the question that has no answer yet, or None.
        asked_on: the connection on which it was asked, or None.
        asked_at: when that was written.
        misses: how often in a row neither way of asking found it.
        missed_since: when that began.
        failure: the error that answered the last question, if one did.
        failures: how often that error did, with no other answer between.
        failing_since: when that began.
        asked_alone: whether it is to be asked for while no other question is open.
        spoiled: whether an error answered a question of the present round.
        rejection: an error that may have answered its sending, until the server confirms it.
        refusal: the error by which the server last refused it for lack of room, if it did.
        suspicions: how often it may have been the cause of an error that named no task.
        alone: whether it is to be written in a frame of its own.
        found_by: the way by which a task in doubt was found; "" if it was never in doubt.
    """

    # Most tasks never set these, so they cost nothing for each.
    former_uuids: tuple[str, ...] = ()
    uuid_of_attempt: Callable[[int], str] | None = None
    inline: Callable[[], bytes | bytearray] | None = None
    link: ConnectionState | None = None
    level = 0
    collected: Sequence[Item] = ()
    stage = Stage.QUEUED
    evidence = Evidence.NEVER_WRITTEN
    due: float | None = None
    wake: float | None = None
    sent_at = 0.0
    asks = 0
    asked: Question | None = None
    asked_at = 0.0
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
    suspicions = 0
    alone = False
    found_by = ""

    def __init__(
        self,
        uuid: str,
        payload: bytes | bytearray = b"",
        *,
        wire_uuid: str = "",
        owned: bool = True,
        wanted: int = 0,
        priority: int = 0,
        bulk: bool = False,
        polled: bool = False,
        timeout: float | None = None,
        deadline: float | None = None,
        origin: Any = None,
        attempts: int = 1,
        writes: int = 0,
        stored: bool = False,
    ) -> None:
        self.uuid = uuid
        self.wire_uuid = wire_uuid or uuid
        self.payload = payload
        self.owned = owned
        self.wanted = wanted
        self.priority = priority
        self.bulk = bulk
        self.polled = polled
        self.timeout = timeout
        self.deadline = deadline
        self.origin = origin
        self.stored = stored
        self.attempts = attempts
        self.writes = writes

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
        """Return why the server has not taken it yet; "" if it did, or was not asked to."""
        if self.refusal is None or self.evidence is not Evidence.REFUSED:
            return ""
        return f"the service has no room: {self.refusal.code}"

    def count_miss(self, now: float) -> None:
        """Note a round in which neither way of asking found the task, or told of its state."""
        if not self.misses:
            self.missed_since = now
        self.misses += 1

    def count_failure(self, failure: ErrorItem, now: float) -> None:
        """Note an error in answer to a question."""
        if self.failure is None or failure.code != self.failure.code:
            self.failures = 0
            self.failing_since = now
        self.failure = failure
        self.failures += 1

    def forget_doubt(self) -> None:
        """Begin to count anew: the server spoke of the task, or it is written again."""
        self.misses = self.failures = 0
        self.failure = self.rejection = None

    def __repr__(self) -> str:
        return f"<Task {self.uuid} {self.stage.value}, {len(self.payload)} bytes>"


def move(task: Task, transition: Transition) -> None:
    """Move `task` along the table; a move that is not in it is a bug and raises KeyError."""
    task.stage = TRANSITIONS[transition][task.stage]
