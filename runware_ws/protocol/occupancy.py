"""Tell since when a connection has been busy with large frames in one direction.

Then it may be the line that limits them, and lines often limit each connection. The time that a
single frame takes does not tell: many frames in a row, each of which is quick, fill a line as well.
"""

from __future__ import annotations

# Bytes per second, which are a gigabit. It is not the line that limits what is faster than that,
# but this machine, and then another connection only takes more of its time.
_FAST = 125e6


class Occupancy:
    """Since when large frames have followed each other in one direction.

    Args:
        gap: the longest pause between two of them that does not count as one, in seconds.

    Attributes:
        since: since when, as far as `measure` knows; None if there are none.
    """

    def __init__(self, gap: float) -> None:
        self.since: float | None = None
        self._gap = gap
        self._ended: float | None = None
        self._bytes_before = 0

    def goes_on(self, now: float, total_bytes: int) -> bool:
        """Record that there are large frames, and the bytes of all frames so far.

        Return whether they are the first after a pause.
        """
        self._expire(now)
        self._ended = None
        if self.since is not None:
            return False
        self.since, self._bytes_before = now, total_bytes
        return True

    def ends(self, now: float) -> None:
        """Record that there are none."""
        if self._ended is None:
            self._ended = now

    def measure(self, now: float, total_bytes: int) -> None:
        """Begin anew if the frames are so fast that it is not the line that limits them."""
        self._expire(now)
        since, moved = self.since, total_bytes - self._bytes_before
        if since is not None and moved > _FAST * (now - since):
            self.since, self._bytes_before = now, total_bytes

    def _expire(self, now: float) -> None:
        if self._ended is not None and now - self._ended > self._gap:
            self.since = None
