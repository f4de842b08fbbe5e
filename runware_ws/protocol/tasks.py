"""A task and its life: one table of transitions, one function that moves.

    queued ──write──▶ sent ──accept──▶ accepted
      ▲                 │ ╲               │ │
      │               doubt ╲___settle__  │ │
      │                 ▼               ╲ ▼ ▼
      └──retry──── reconciling ──settle──▶ settled

`queued` means that no byte of it went to any connection under its present UUID; `sent` that
it was written to this connection and the server has said nothing; `accepted` that the server
said it knows it; `reconciling` that its fate is in doubt. The taskUUID changes in `retry`
alone, which needs the server's word that the task failed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

__all__ = ["TRANSITIONS", "Stage", "Step", "Task", "Transition", "move"]


class Stage(StrEnum):
    """Where a task is; the values are what people see.

    A str hashes in C, which the table of transitions is looked up with for every task.
    """

    QUEUED = "queued"
    SENT = "sent"
    ACCEPTED = "accepted"
    SUSPECT = "reconciling"
    SETTLED = "settled"


class Transition(StrEnum):
    """What moves a task."""

    WRITE = "write"
    ACCEPT = "accept"
    DOUBT = "doubt"
    RETRY = "retry"
    SETTLE = "settle"


class Step(StrEnum):
    """What is under way to find out about a task."""

    NONE = "none"
    REPLAY = "waiting for the replay"
    ASKED = "asked for its result"
    DETAILED = "asked for its details"
    RESEND = "about to be sent again"


TRANSITIONS: dict[tuple[Stage, Transition], Stage] = {
    (Stage.QUEUED, Transition.WRITE): Stage.SENT,
    (Stage.QUEUED, Transition.SETTLE): Stage.SETTLED,
    (Stage.SENT, Transition.ACCEPT): Stage.ACCEPTED,
    (Stage.SENT, Transition.DOUBT): Stage.SUSPECT,
    (Stage.SENT, Transition.RETRY): Stage.QUEUED,
    (Stage.SENT, Transition.SETTLE): Stage.SETTLED,
    (Stage.ACCEPTED, Transition.ACCEPT): Stage.ACCEPTED,
    (Stage.ACCEPTED, Transition.DOUBT): Stage.SUSPECT,
    (Stage.ACCEPTED, Transition.RETRY): Stage.QUEUED,
    (Stage.ACCEPTED, Transition.SETTLE): Stage.SETTLED,
    (Stage.SUSPECT, Transition.WRITE): Stage.SENT,
    (Stage.SUSPECT, Transition.ACCEPT): Stage.ACCEPTED,
    (Stage.SUSPECT, Transition.DOUBT): Stage.SUSPECT,
    (Stage.SUSPECT, Transition.RETRY): Stage.QUEUED,
    (Stage.SUSPECT, Transition.SETTLE): Stage.SETTLED,
}


class Task:
    """One upscale task, from submission until it is settled.

    Attributes:
        uuid: its taskUUID, in lower case.
        payload: its bytes as a frame of its own; b"" when they are not known (a task found
            again by its UUID alone) and once it is settled.
        owned: whether this package made the UUID, so that nobody else can have used it.
        polled: whether its outcome is asked for, not pushed: delivery ``async``, or a webhook.
        timeout: seconds from submission, or None.
        deadline: the same as a moment, or None.
        origin: what the journal keeps of it; not looked at here.
        stage, step: see above.
        due: the moment at which it wants attention, managed by `Timers`.
        wake: the moment of its next step, apart from the deadline; None for never.
        attempts: how often it was begun: 1, and one more with each retry.
        writes: how often it was written under its present UUID.
        sent_at: when it was written last.
        asks: how often its result was asked for, which sets the pace.
        asked_at: when it was asked for last.
        known_since: when the server was first heard to know it, although its outcome
            could not be had; None before.
        hearsay: whether only an error that named no task has said that the server knows it.
        no_details: whether its details were asked for last, in vain.
    """

    __slots__ = (
        "asked_at",
        "asks",
        "attempts",
        "deadline",
        "due",
        "hearsay",
        "known_since",
        "no_details",
        "origin",
        "owned",
        "payload",
        "polled",
        "sent_at",
        "stage",
        "step",
        "timeout",
        "uuid",
        "wake",
        "writes",
    )

    def __init__(
        self,
        uuid: str,
        payload: bytes | bytearray,
        *,
        owned: bool = True,
        polled: bool = False,
        timeout: float | None = None,
        deadline: float | None = None,
        origin: Any = None,
        attempts: int = 1,
        writes: int = 0,
    ) -> None:
        self.uuid = uuid
        self.payload = payload
        self.owned = owned
        self.polled = polled
        self.timeout = timeout
        self.deadline = deadline
        self.origin = origin
        self.stage = Stage.QUEUED
        self.step = Step.NONE
        self.due: float | None = None
        self.wake: float | None = None
        self.attempts = attempts
        self.writes = writes
        self.sent_at = 0.0
        self.asks = 0
        self.asked_at = 0.0
        self.known_since: float | None = None
        self.hearsay = False
        self.no_details = False

    def renew(self) -> None:
        """Begin again, after the server said that the task failed."""
        move(self, Transition.RETRY)
        self.attempts += 1
        self.step = Step.NONE
        self.writes = self.asks = 0
        self.known_since = None
        self.hearsay = self.no_details = False
        self.owned = True

    def __repr__(self) -> str:
        return f"<Task {self.uuid} {self.stage.value}, {len(self.payload)} bytes>"


def move(task: Task, event: Transition) -> None:
    """Move `task` along the table; a move that is not in it is a bug and raises KeyError."""
    task.stage = TRANSITIONS[task.stage, event]
