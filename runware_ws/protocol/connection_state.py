"""What is known of one connection. It is born and dropped with it, so nothing of an old
connection can be mistaken for the new one's.

Liveness: an application ping goes out after `keepalive` seconds without a byte from the
server (control-frame pings are not documented to count [D]); no byte within `ping_timeout` of
the *written* ping means that the connection is half-open. A ping that waits behind a large
upload is not written yet, and what was written may still stand in buffers along the line:
as long as the upload moves, and for `keepalive + ping_timeout` after, silence proves nothing.
"""

from __future__ import annotations

from collections import deque

from .answers import is_fatal
from .effects import Frame
from .tasks import Task
from .wire import ErrorItem

__all__ = ["ConnectionState"]

# An upload below this is through the buffers of any line before a ping could time out.
_LARGE_UPLOAD_BYTES = 64 * 1024

# How often an upload's progress is looked at: so many times while a ping would be waited for, and
# at least after so many seconds.
_LOOKS = 5
_LONGEST_LOOK = 2.0
_PRETENCE = 2.0
_EARLY_GRACE = 2.0


class ConnectionState:
    """One connection.

    Attributes:
        resuming: the session UUID that the authentication named, or None.
        ready: whether the server has accepted the key.
        auth_written: whether the authentication was handed to the writer.
        auth_deadline: when a missing reply to it means failure.
        replay_end: until when the replay is waited for; None when it is over.
        replay_limit: when it is over even if it is not quiet.
        heard_at: when bytes came in last.
        asked: tasks with a question (getResponse, getTaskDetails) under way.
        noes: answers to questions that named no task, since a question was last settled.
        asks, details, resends: what is to be written, besides new tasks.
        doubted: tasks of which one is the owner of an error that named none. New tasks wait
            until they are cleared, so that a task sent alone is the only one.
        unattributed_error: whether an error came that is somebody's, and it is not known whose.
        missed_answer: whether a frame came that was unreadable. Both are looked into before
            anything else is written, once for all that came together.
        probe: the one that was sent alone. Nothing else is sent or asked for meanwhile.
        probe_end: when it has had its time; None when the line is free. It outlasts one that
            is given up meanwhile, of which the server may still speak.
        errors_during_probe: errors without a name since it was sent; None for an unreadable
            frame.
        early_error: one that came before the reply to the authentication, and is perhaps that.
        ping_wanted: whether a ping is to be written.
        writing: whether a frame is being written.
    """

    def __init__(
        self, now: float, *, resuming: str | None, keepalive: float, ping_timeout: float
    ) -> None:
        self.resuming = resuming
        self.ready = False
        self.auth_written = False
        self.auth_deadline: float | None = None
        self.replay_end: float | None = None
        self.replay_limit = 0.0
        self.asked: dict[str, Task] = {}
        self.noes = 0
        self.asks: deque[Task] = deque()
        self.details: deque[Task] = deque()
        self.resends: deque[Task] = deque()
        self.doubted: set[Task] = set()
        self.unattributed_error = False
        self.missed_answer = False
        self.probe: Task | None = None
        self.probe_end: float | None = None
        self.errors_during_probe: list[ErrorItem | None] = []
        self.early_error: ErrorItem | None = None
        self.ping_wanted = False
        self.writing = False
        self._born = now
        self._named_session = resuming is not None
        self._keepalive = keepalive
        self._ping_timeout = ping_timeout
        self._look = min(_LONGEST_LOOK, ping_timeout / _LOOKS)
        self.heard_at = now
        self._moved_at = now
        self._looked_at = now
        self._unsent = 0
        self._uploaded = 0
        self._ping_begun: float | None = None
        self._ping_at: float | None = None

    def answered(self, task: Task) -> None:
        """A question about `task`, if one was under way, has its answer."""
        self.asked.pop(task.uuid, None)
        if not self.asked:
            self.noes = 0

    def forget(self, task: Task) -> None:
        """Nothing more is to be found out about `task`."""
        if self.asked:
            self.answered(task)
        if self.doubted or self.probe is not None:
            self.clear(task)

    def clear(self, task: Task) -> None:
        """`task` does not own the error whose owner is looked for."""
        self.doubted.discard(task)
        self.end_probe(task)

    def start_probe(self, task: Task, end: float) -> None:
        """`task` is sent alone, and has until `end`."""
        self.probe, self.probe_end = task, end
        self.errors_during_probe.clear()

    def end_probe(self, task: Task) -> None:
        """`task` is not the one that was sent alone, or no more."""
        if self.probe is task:
            self.probe = self.probe_end = None

    def look(self, now: float) -> None:
        """Time has passed."""
        if self.ready and self.ping_due_at is not None and self.ping_due_at <= now:
            self.ping_wanted = True
        self.probe_is_on(now)

    def probe_is_on(self, now: float) -> bool:
        """Whether a task that was sent alone still has its time; if not, it is let go."""
        if self.probe_end is not None and now >= self.probe_end:
            if self.probe is not None:
                self.doubted.discard(self.probe)
            self.probe = self.probe_end = None
        return self.probe_end is not None

    def heard(self, now: float) -> bool:
        """Bytes came in. Whether a ping was under way, and is no more."""
        was_under_way = self._ping_at is not None and self.ping_under_way
        if now > self.heard_at:
            self.heard_at = now
            self._uploaded = 0
        return was_under_way

    def heard_early(self, fault: ErrorItem, now: float) -> bool:
        """An error that may be the reply to the authentication: whether that is waited for.

        It has a moment more. An old session has been refused, if one was named; what comes then
        is rather a task's of that session, and says nothing.
        """
        if self.resuming is not None:
            return False
        if self._named_session:
            return True
        if not is_fatal(fault):
            return False
        self.early_error = fault
        if self.auth_deadline is not None:
            self.auth_deadline = min(self.auth_deadline, now + _EARLY_GRACE)
        return True

    def _watches(self, frame: Frame) -> bool:
        """Whether there are moments at which to look how a frame fares."""
        is_large = len(frame.data) > _LARGE_UPLOAD_BYTES
        return frame.is_ping or is_large or self.probe_end is not None or not self.ready

    def begins(self, frame: Frame, now: float) -> bool:
        """A frame is handed to the writer. Whether it is watched."""
        self.writing = True
        self._looked_at = now
        if frame.is_ping:
            self._ping_begun = now
        return self._watches(frame)

    def wrote(self, frame: Frame, now: float) -> bool:
        """A frame was taken by the operating system, as far as can be known. Is it watched?"""
        self.writing = False
        self._moved_at = now
        self._uploaded += len(frame.data)
        if frame.is_ping:
            self.ping_wanted = False
            if self._ping_begun is not None:  # not answered before the writer could say so
                self._ping_at = now
        return self._watches(frame)

    def moved(self, unsent_bytes: int, now: float) -> None:
        """So many bytes of what was handed over still wait on this machine."""
        if unsent_bytes < self._unsent:
            self._moved_at = now
            self._uploaded += self._unsent - unsent_bytes
        self._unsent = unsent_bytes
        self._looked_at = now

    def pong(self, now: float) -> float | None:
        """Seconds since the ping was handed to the writer; None when none is under way."""
        begun, self._ping_begun = self._ping_begun, None
        return None if begun is None else now - begun

    @property
    def awaits_pong(self) -> bool:
        """Whether a ping has no answer yet, nor an error in its place."""
        return self._ping_begun is not None

    @property
    def ping_under_way(self) -> bool:
        """Whether nothing has come since a ping was written."""
        return self._ping_at is not None and self._ping_at > self.heard_at

    @property
    def ping_due_at(self) -> float | None:
        """When a ping is to be sent; None while one is under way."""
        if self.ping_wanted or self.ping_under_way:
            return None
        return self.heard_at + self._keepalive

    @property
    def look_at(self) -> float | None:
        """When to look at the progress of an upload again; None when there is none."""
        return self._looked_at + self._look if self.writing or self._unsent else None

    @property
    def dead_at(self) -> float:
        """When silence will have proved that the connection is half-open."""
        # The last move may have been seen late, by the time between two looks.
        patience = self._keepalive + self._ping_timeout - self._look
        stalled = max(self.heard_at, self._moved_at) + patience
        if self._ping_at is None or not self.ping_under_way:
            return stalled
        answer = self._ping_at + self._ping_timeout
        return max(answer, stalled) if self._uploaded > _LARGE_UPLOAD_BYTES else answer

    def moments(self) -> tuple[float | None, ...]:
        """When something is to be looked at; None for never."""
        return (
            self.auth_deadline,
            self.dead_at,
            self.look_at,
            self.replay_end,
            self.ping_due_at if self.ready else None,
            self.probe_end,
        )

    def has_lasted(self, now: float) -> bool:
        """Whether it is older than a connection that a service only pretends to accept."""
        return now - self._born > _PRETENCE

    def verdict(self, now: float) -> str:
        """Why the connection is no good any more; "" while it is."""
        if self.auth_deadline is not None and self.auth_deadline <= now:
            return "no reply to the authentication"
        if self.dead_at <= now:
            return "the connection is half-open: no byte came in answer to a ping"
        return ""
