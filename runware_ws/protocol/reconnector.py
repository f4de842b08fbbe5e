"""The state of the client, and the schedule of its attempts to connect.

The first connect and every reconnect are scheduled in the same way. The first attempt after a loss
is made at once, later ones after a delay with full jitter, without end unless a limit is set. A key
that is refused before it was ever accepted is wrong. One that is refused later may be accepted
again, as users of Runware report; so a circuit breaker waits, longer each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from .backoff import ceiling, full_jitter
from .timing import Timing

_MAX_FAILED_RESUMES = 2

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
    """Schedules the attempts to connect.

    Args:
        rng: returns a random number from 0 to 1.
        max_reconnect_time: seconds without a connection after which to give up; None for no limit.
        timing: the durations.
        delays: first and longest ceiling of the delay before an attempt.

    Attributes:
        state: see `RunwareClient.state`.
        ended: whether the state is final.
        session_uuid: the session to resume, or None.
        ever_ready: whether the key was ever accepted.
        connect_at: time of the next attempt, or None.
        reason: the reason why there is no connection; "" while there is one.
        unproved: whether a connection was lost or the key was refused, and nothing received since
            then shows that they are good again.
    """

    def __init__(
        self,
        rng: Callable[[], float],
        max_reconnect_time: float | None,
        timing: Timing,
        delays: tuple[float, float],
    ) -> None:
        self.state: ClientState = "new"
        self.ended = False
        self.session_uuid: str | None = None
        self.ever_ready = False
        self.connect_at: float | None = None
        self.reason = "not connected yet"
        self.unproved = False
        self._rng = rng
        self._limit = max_reconnect_time
        self._timing = timing
        self._delays = delays
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
        """Begin an attempt to connect."""
        self.connect_at = None
        self._attempts += 1
        self.state = "connecting"

    def ready(self, session_uuid: str) -> bool:
        """Record that the key was accepted. Return whether the session was resumed."""
        resumed = session_uuid == self.session_uuid
        self.session_uuid = session_uuid
        self.state = "connected"
        self.ever_ready = True
        self.reason = ""
        self._attempts = self._failed_resumes = 0
        return resumed

    def resume_failed(self) -> None:
        """Record the failure of a connection that named the session.

        The first failure may be caused by the network. But a service may refuse the session in any
        way, even by closing the connection; so the session is dropped the second time.
        """
        self._failed_resumes += 1
        if self._failed_resumes >= _MAX_FAILED_RESUMES:
            self.session_uuid = None

    def prove(self, is_good: bool) -> None:
        """Record whether the connection works for more than the authentication."""
        if is_good:
            self._flaps = self._refusals = 0
            self.unproved = False

    def lost(self, reason: str, now: float) -> None:
        """Schedule the next attempt after a loss or a failed attempt.

        A service that accepts the key and then closes the connection is tried less and less often.
        """
        if self.state == "connected":
            self._away_since = now
            self._flaps += 1
            self.unproved = True
        self.reason = reason
        self.state = "waiting"
        failures = self._attempts + max(0, self._flaps - 1)
        delay = full_jitter(failures - 1, self._delays, self._rng) if failures else 0.0
        self.connect_at = now + delay

    def refused(self, reason: str, now: float) -> None:
        """Schedule the next attempt after the refusal of a key that was accepted before."""
        self.lost(reason, now)
        self.state = "key_refused"
        # Half of the delay is fixed, so that the service is not tried in a tight loop.
        delay = ceiling(self._refusals, self._timing.breaker) * (1 + self._rng()) / 2
        self.connect_at = now + delay
        self._refusals += 1
        self.unproved = True

    @property
    def in_doubt(self) -> bool:
        """Return whether the key was refused, and nothing since then shows that it is good."""
        return self._refusals > 0

    @property
    def give_up_at(self) -> float | None:
        """Return the time at which to give up; None while connected, or during an attempt."""
        waits = self.state in ("waiting", "key_refused") and self._attempts
        return self._away_since + self._limit if waits and self._limit is not None else None

    def gives_up(self, now: float) -> bool:
        """Return whether the time limit for reconnecting has passed."""
        return self._limit is not None and now - self._away_since >= self._limit

    def end(self, state: ClientState, reason: str) -> None:
        """Make no more attempts."""
        self.state = state
        self.ended = True
        self.reason = reason
        self.connect_at = None
