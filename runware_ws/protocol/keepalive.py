"""The liveness of one connection.

An application ping goes out after `keepalive` seconds without a byte from the server: Runware does
not document that pings of the WebSocket protocol count. No byte within `ping_timeout` of a written
ping means that the connection is half-open.

What was written may still be in buffers along the line. As long as an upload moves, and for
`keepalive + ping_timeout` after, silence proves nothing.
"""

from __future__ import annotations

from .effects import Frame

# An upload below this is through the buffers of any line before a ping could time out.
_LARGE_UPLOAD_BYTES = 64 * 1024
# The progress of an upload is looked at so many times while a ping would be awaited, and at least
# after so many seconds.
_LOOKS = 5
_LONGEST_LOOK = 2.0


class Keepalive:
    """Decides when to ping, and when a connection is dead.

    Attributes:
        heard_at: when bytes came in last.
        ping_wanted: whether a ping is to be written.
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
        """Note that bytes came in. Return whether the next ping is due again from now on."""
        if now <= self.heard_at:
            return False
        awaited = self._ping_at is not None and self._ping_at > self.heard_at
        self.heard_at = now
        self._uploaded = 0
        return awaited

    def begins(self, frame: Frame, now: float) -> bool:
        """Note that a frame is being written. Return whether it is to be looked at meanwhile."""
        self._is_writing = True
        self._looked_at = now
        if frame.is_ping:
            self._ping_begun = now
        return frame.is_ping or len(frame.data) > _LARGE_UPLOAD_BYTES

    def wrote(self, frame: Frame, now: float) -> bool:
        """Note that a frame was written, as far as can be known. Return as `begins`."""
        self._is_writing = False
        self._moved_at = now
        self._uploaded += len(frame.data)
        if frame.is_ping:
            self.ping_wanted = False
            if self._ping_begun is not None:  # not answered before the writer could say so
                self._ping_at = now
        return frame.is_ping or len(frame.data) > _LARGE_UPLOAD_BYTES

    def moved(self, unsent_bytes: int, now: float) -> None:
        """Note how many bytes of what was written are still on this machine."""
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
        """Return whether a ping has no answer yet, nor an error in its place."""
        return self._ping_begun is not None

    @property
    def awaits_bytes(self) -> bool:
        """Return whether nothing has come since a ping was written."""
        return self._ping_at is not None and self._ping_at > self.heard_at

    @property
    def ping_due_at(self) -> float | None:
        """Return when to ping; None while a ping has no answer."""
        if self.ping_wanted or self.awaits_bytes:
            return None
        return self.heard_at + self._keepalive

    def ping_is_due(self, now: float) -> bool:
        """Return whether it is time to ping."""
        return self.ping_due_at is not None and self.ping_due_at <= now

    @property
    def look_at(self) -> float | None:
        """Return when to look at the progress of an upload again; None if there is none."""
        return self._looked_at + self._look if self._is_writing or self._unsent else None

    @property
    def dead_at(self) -> float:
        """Return when silence will prove that the connection is half-open."""
        # The last progress may have been seen late, by the time between two looks.
        patience = self._keepalive + self._ping_timeout - self._look
        stalled = max(self.heard_at, self._moved_at) + patience
        if self._ping_at is None or not self.awaits_bytes:
            return stalled
        answer = self._ping_at + self._ping_timeout
        return max(answer, stalled) if self._uploaded > _LARGE_UPLOAD_BYTES else answer
