"""Being connected, or not: when to try again, and with which session.

The first connect and every reconnect go through here alike. The first attempt after a loss is
made at once, later ones after a delay with full jitter, for ever unless a limit is set. A key
that is refused before it was ever accepted is wrong; one that is refused later may well be
accepted again [S], so there a breaker waits, longer each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from .backoff import full_jitter

_RECONNECT = (0.1, 30.0)  # first and highest ceiling of the delays, in seconds
_RESUMES = 2
_BREAKER = (2.0, 60.0)


ClientState = Literal[
    "new",
    "connecting",
    "authenticating",
    "connected",
    "waiting",
    "key_refused",
    "failed",
    "closed",
]


class Reconnector:
    """The state of the client, and the plan of its attempts to connect.

    Attributes:
        state: see `RunwareClient.state`.
        ended: whether it is for good.
        session_uuid: the session to resume, or None.
        ever_ready: whether the key was accepted once.
        connect_at: when to try next, or None.
        reason: why there is no connection; "" while there is one.
        unproved: whether a connection or the key was lost, and nothing has come since that proves
            the present ones good.
    """

    def __init__(self, rng: Callable[[], float], max_reconnect_time: float | None) -> None:
        self.state: ClientState = "new"
        self.ended = False
        self.session_uuid: str | None = None
        self.ever_ready = False
        self.connect_at: float | None = None
        self.reason = "not connected yet"
        self.unproved = False
        self._rng = rng
        self._limit = max_reconnect_time
        self._away_since = 0.0
        self._attempts = 0
        self._refusals = 0
        self._flaps = 0
        self._failed_resumes = 0

    @property
    def why_away(self) -> str:
        """The state and its reason; "" while connected."""
        return "" if self.state == "connected" else f"{self.state}: {self.reason}"

    def start(self, now: float) -> None:
        """Connect for the first time."""
        self._away_since = now
        self.connect_at = now
        self.state = "waiting"

    def attempt(self) -> None:
        """An attempt to connect begins."""
        self.connect_at = None
        self._attempts += 1
        self.state = "connecting"

    def ready(self, session_uuid: str) -> bool:
        """The key was accepted. Whether the session asked for was resumed."""
        resumed = session_uuid == self.session_uuid
        self.session_uuid = session_uuid
        self.state = "connected"
        self.ever_ready = True
        self.reason = ""
        self._attempts = self._failed_resumes = 0
        return resumed

    def resume_failed(self) -> None:
        """A connection that named the session came to nothing.

        Once, that may be the network's doing. A service that will not have the session can say so
        in any way, also by hanging up [S]: so the second time it is let go.
        """
        self._failed_resumes += 1
        if self._failed_resumes >= _RESUMES:
            self.session_uuid = None

    def proved(self) -> None:
        """The connection is good for more than the key."""
        self._flaps = self._refusals = 0
        self.unproved = False

    def lost(self, reason: str, now: float) -> None:
        """There is no connection any more, or the attempt failed.

        A service that accepts the key and then hangs up is not asked in a tight loop.
        """
        if self.state == "connected":
            self._away_since = now
            self._flaps += 1
            self.unproved = True
        self.reason = reason
        self.state = "waiting"
        failures = self._attempts + max(0, self._flaps - 1)
        delay = full_jitter(failures - 1, *_RECONNECT, self._rng) if failures else 0.0
        self.connect_at = now + delay

    def refused(self, reason: str, now: float) -> None:
        """The key was refused, after it had been accepted before."""
        self.lost(reason, now)
        self.state = "key_refused"
        start, limit = _BREAKER
        # Half of the ceiling is fixed: the service is not asked in a tight loop.
        ceiling = min(limit, start * 2.0 ** min(self._refusals, 16))
        self.connect_at = now + ceiling * (1 + self._rng()) / 2
        self._refusals += 1
        self.unproved = True

    def away(self, now: float) -> float:
        """Seconds without a connection."""
        return now - self._away_since

    @property
    def in_doubt(self) -> bool:
        """Whether the key was refused and nothing has come since that proves it good."""
        return self._refusals > 0

    @property
    def give_up_at(self) -> float | None:
        """When the limit to reconnecting passes; None while connected, or in an attempt."""
        waits = self.state in ("waiting", "key_refused") and self._attempts
        return self._away_since + self._limit if waits and self._limit is not None else None

    def moments(self) -> tuple[float | None, ...]:
        """When something is to be done."""
        return self.connect_at, self.give_up_at

    def gives_up(self, now: float) -> bool:
        """Whether the limit to reconnecting has passed."""
        return self._limit is not None and self.away(now) >= self._limit

    def end(self, state: ClientState, reason: str) -> None:
        """No more attempts."""
        self.state = state
        self.ended = True
        self.reason = reason
        self.connect_at = None
