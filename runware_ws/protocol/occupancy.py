"""Tell since when a connection has been busy with large frames in one direction.

Then it may be the line that limits them, and lines often limit each connection. The time that a
single frame takes does not tell: many frames in a row, each of which is quick, fill a line as well.
"""

from __future__ import annotations

# Bytes per second, which are a gigabit. It is not the line that limits what is faster than that,
# but this machine, and then another connection only takes more of its time.
_FAST = 125e6
# If the pauses take more than this share of the time, it is not the line either.
_MOST_IDLE = 0.5


class Occupancy:
    """Since when large frames have followed each other in one direction.

    Args:
        gap: the longest pause between two of them after which they still do, in seconds.

    Attributes:
        since: since when, as far as `measure` knows; None if there are none.
    """

    def __init__(self, gap: float) -> None:
        self.since: float | None = None
        self._gap = gap
        self._ended: float | None = None
        self._idle = 0.0  # seconds of pauses
        self._bytes_before = 0

    def goes_on(self, now: float, total_bytes: int) -> bool:
        """Record that there are large frames, and the bytes of all frames so far.

        Return whether they are the first after a long pause.
        """
        self._expire(now)
        if self._ended is not None:
            self._idle += now - self._ended
            self._ended = None
        if self.since is not None:
            return False
        self._begin(now, total_bytes)
        return True

    def ends(self, now: float) -> None:
        """Record that there are none."""
        if self._ended is None:
            self._ended = now

    def measure(self, now: float, total_bytes: int) -> None:
        """Begin anew if it cannot be the line that limits the frames."""
        self._expire(now)
        if self.since is not None:
            seconds, moved = now - self.since, total_bytes - self._bytes_before
            idle = self._idle + (0.0 if self._ended is None else now - self._ended)
            if moved > _FAST * seconds or idle > _MOST_IDLE * seconds:
                self._begin(now, total_bytes)

    def _begin(self, now: float, total_bytes: int) -> None:
        self.since, self._bytes_before, self._idle = now, total_bytes, 0.0

    def _expire(self, now: float) -> None:
        if self._ended is not None and now - self._ended > self._gap:
            self.since = None
