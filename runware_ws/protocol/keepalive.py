"""Check the liveness of one connection.

An application ping is sent after `keepalive` seconds without a byte from the server, because
Runware does not document that pings of the WebSocket protocol count. If no byte comes within
`ping_timeout` after a ping was written, the connection is half-open.

Written bytes may still be in buffers on the way. While an upload makes progress, and for
`keepalive + ping_timeout` after that, silence proves nothing.
"""

from __future__ import annotations

from .effects import Frame

# An upload below this size has passed the buffers on the way before a ping could time out.
_LARGE_UPLOAD_BYTES = 64 * 1024
# The number of checks of an upload's progress within the timeout of a ping, and the longest time in
# seconds between two checks.
_LOOKS = 5
_LONGEST_LOOK = 2.0


class Keepalive:
    """Decides when to send a ping, and when a connection is dead.

    Attributes:
        heard_at: time at which the last bytes came in.
        ping_wanted: whether to write a ping.
    """

    def __init__(self, now: float, keepalive: float, ping_timeout: float) -> None:
        self.heard_at = now
        self.ping_wanted = False
        self._keepalive = keepalive
        self._ping_timeout = ping_timeout
        self._look = min(_LONGEST_LOOK, ping_timeout / _LOOKS)
        self._is_writing = False
        self._moved_at = now
        self._looked_at = now
        self._unsent = 0
        self._uploaded = 0
        self._ping_begun: float | None = None
        self._ping_at: float | None = None

    def heard(self, now: float) -> bool:
        """Record that bytes came in. Return whether the next ping has a new due time."""
        if now <= self.heard_at:
            return False
        awaited = self._ping_at is not None and self._ping_at > self.heard_at
        self.heard_at = now
        self._uploaded = 0
        return awaited

    def begins(self, frame: Frame, now: float) -> bool:
        """Record that a frame is being written. Return whether its progress has to be checked."""
        self._is_writing = True
        self._looked_at = now
        if frame.is_ping:
            self._ping_begun = now
        return frame.is_ping or len(frame.data) > _LARGE_UPLOAD_BYTES

    def wrote(self, frame: Frame, now: float) -> bool:
        """Record that a frame was handed to the system. Return the same as `begins`."""
        self._is_writing = False
        self._moved_at = now
        self._uploaded += len(frame.data)
        if frame.is_ping:
            self.ping_wanted = False
            if self._ping_begun is not None:  # not answered before the writer could say so
                self._ping_at = now
        return frame.is_ping or len(frame.data) > _LARGE_UPLOAD_BYTES

    def moved(self, unsent_bytes: int, now: float) -> None:
        """Record the number of written bytes that are still on this machine."""
        if unsent_bytes < self._unsent:
            self._moved_at = now
            self._uploaded += self._unsent - unsent_bytes
        self._unsent = unsent_bytes
        self._looked_at = now

    def pong(self, now: float) -> float | None:
        """Return the seconds since the ping was written; None if there was none."""
        begun, self._ping_begun = self._ping_begun, None
        return None if begun is None else now - begun

    @property
    def awaits_pong(self) -> bool:
        """Return whether a ping has neither an answer nor an error yet."""
        return self._ping_begun is not None

    @property
    def awaits_bytes(self) -> bool:
        """Return whether no bytes have come since a ping was written."""
        return self._ping_at is not None and self._ping_at > self.heard_at

    @property
    def ping_due_at(self) -> float | None:
        """Return the time of the next ping; None while a ping has no answer."""
        if self.ping_wanted or self.awaits_bytes:
            return None
        return self.heard_at + self._keepalive

    def ping_is_due(self, now: float) -> bool:
        """Return whether it is time to ping."""
        return self.ping_due_at is not None and self.ping_due_at <= now

    @property
    def look_at(self) -> float | None:
        """Return the time of the next check of an upload's progress; None if there is no upload."""
        return self._looked_at + self._look if self._is_writing or self._unsent else None

    @property
    def dead_at(self) -> float:
        """Return the time at which silence proves that the connection is half-open."""
        # The last progress may have been noticed late, by the time between two checks.
        patience = self._keepalive + self._ping_timeout - self._look
        stalled = max(self.heard_at, self._moved_at) + patience
        if self._ping_at is None or not self.awaits_bytes:
            return stalled
        answer = self._ping_at + self._ping_timeout
        return max(answer, stalled) if self._uploaded > _LARGE_UPLOAD_BYTES else answer
