"""Find at run time how many tasks may be in flight at once.

Runware has no fixed limits: it refuses a task for lack of room when its queue is full, and advises
to begin low and to grow. So the limit is found as congestion control finds the bandwidth of a line:

- Slow start: every result adds one, which doubles the limit in the time that a task takes. Until
  the first results come, the absence of refusals is taken for success, up to a cautious number.
- A task that is refused at level n (as the n-th in flight) shows that there is room for less than
  n. That ends the slow start, and undoes a probe. When it comes at a level that used to be good,
  the room has shrunk, perhaps because somebody else takes it: the limit falls by a factor. All that
  was written before such a fall shares it, so a burst of refusals slows the client down once.
- Probes: after some results at the limit, it is raised by one for a round. A refused probe makes
  the next one rarer, a round without refusal begins the slow start again.
- Latency: a service may queue what it has no room for. When tasks take much longer than those
  that were sent with fewer in flight, the limit grows no further, and shrinks until they do not. If
  they are as slow at the lowest limit, it is for another reason, such as larger images.

A refused task was not run. It is sent again as soon as there is room, under the same UUID. With
nothing else in flight, no result would tell when that is: then a backoff sets the pace.

Invariants: ``1 <= limit <= ceiling``; time is an argument.
"""

from __future__ import annotations

from collections.abc import Callable

from .backoff import full_jitter
from .timing import Timing

_START = 16
# The limit while nothing but the absence of refusals speaks for it.
_UNPROVED = 64
_FALL = 0.7
# The number of results between two probes: the first, and the longest after several failed.
_PROBE_AFTER = (16, 32)
# Tasks are slow if they take so many times as long as they did, and so many seconds longer.
_SLOW_FACTOR = 2.0
_SLOW_SECONDS = 0.1
_SLOW_FALL = 0.8
# So many results make a mean, and a result of so many before is forgotten by it.
_MIN_RESULTS = 8
_MEMORY = 32
_MAGNITUDES = 64


class ConcurrencyLimit:
    """Decides how many tasks may be in flight.

    Args:
        ceiling: the highest limit; the limit itself if it is not `adaptive`.
        adaptive: whether the limit is found at run time.
        timing: durations.
        rng: returns a random number from 0 to 1.

    Attributes:
        limit: how many tasks may be in flight.
        in_flight: how many are; counted by its users.
        wanted: whether more were waiting when tasks were last sent.
        unattributed: how many of these were refused by an error that named no task, so that it is
            not known yet which.
        change: why the limit has changed much since this was last read; "" if it has not.
    """

    def __init__(
        self, ceiling: int, timing: Timing, rng: Callable[[], float], *, adaptive: bool = True
    ) -> None:
        self.limit = min(_START, ceiling) if adaptive else ceiling
        self.in_flight = 0
        self.wanted = False
        self.unattributed = 0
        self.change = ""
        self._ceiling = ceiling
        self._adaptive = adaptive
        self._timing = timing
        self._rng = rng
        self._growing = adaptive
        self._probing = False
        self._since_change = 0  # results at this limit
        self._probe_after = _PROBE_AFTER[0]
        self._fell_at = -1.0
        self._resume_at: float | None = None
        self._pauses = 0
        self._grow_at: float | None = None
        self._announced = self.limit
        self._is_slow = False
        self._latency = _Latency()
        self._round_results = 0
        self._round_size = max(_START, self.limit)

    @property
    def is_paused(self) -> bool:
        """True during a backoff: the service refused a task with nothing else in flight."""
        return self._resume_at is not None

    def room(self, waiting: int = 0) -> int:
        """Return how many more tasks may be sent now.

        Args:
            waiting: how many that are in flight by the count are not at the service.
        """
        if self._resume_at is not None:
            return 0
        return self.limit - self.in_flight + self.unattributed + waiting

    def note_full(self, now: float) -> bool:
        """Record that tasks wait for room. Return whether that has set a timer."""
        may_grow = self._growing and self.limit < min(_UNPROVED, self._ceiling)
        if not may_grow or self._grow_at is not None:
            return False
        self._grow_at = now + self._timing.slow_start
        return True

    def succeeded(self, in_flight: int, seconds: float) -> None:
        """Record that a task succeeded.

        Args:
            in_flight: the number of tasks in flight when it was sent, itself included.
            seconds: the time since.
        """
        if not self._adaptive:
            if self._pauses:
                self._pauses -= 1
            return
        if self._pauses:
            self._pauses = 0
            self._resume_at = None
        self._latency.add(in_flight, seconds)
        self._round_results += 1
        if self._round_results >= self._round_size:
            self._end_round()
        if self.wanted and not self._is_slow:
            self._grow_by_result()

    def refused(self, in_flight: int, sent_at: float, now: float) -> None:
        """Record that a task was refused for lack of room, and is no longer in flight.

        Args:
            in_flight: the number of tasks in flight when it was sent, itself included.
            sent_at: when it was sent.
            now: the time.
        """
        if self._adaptive:
            self._fall(in_flight, sent_at, now)
        self._pause_if_idle(now)

    def refused_unnamed(self, now: float) -> None:
        """Record a refusal for lack of room whose task is not known."""
        self.unattributed += 1
        if self._adaptive:
            present = self.in_flight - self.unattributed
            shares_last_fall = now - self._fell_at < self._timing.slow_start
            self._fall(present + 1, self._fell_at if shares_last_fall else now, now)
        self._pause_if_idle(now)

    def _pause_if_idle(self, now: float) -> None:
        if self._resume_at is None and (not self._adaptive or self.in_flight <= self.unattributed):
            delay = full_jitter(self._pauses, self._timing.retry, self._rng)
            self._resume_at = now + delay
            self._pauses += 1

    def next_timer(self) -> float | None:
        """Return when `handle_timer` is to be called, or None."""
        return self._grow_at if self._resume_at is None else self._resume_at

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        if self._resume_at is not None and self._resume_at <= now:
            self._resume_at = None
        if self._grow_at is not None and self._grow_at <= now:
            self._grow_at = None
            self._raise_to(min(_UNPROVED, self.limit * 2))

    # Up.

    def _grow_by_result(self) -> None:
        self._since_change += 1
        if self._growing:
            self._raise_to(self.limit + 1)
        elif self._probing:
            if self._since_change > self.limit:  # a round without refusal
                self._probing = False
                self._growing = True
                self._probe_after = _PROBE_AFTER[0]
        elif self._since_change >= self._probe_after and self.limit < self._ceiling:
            self._probing = True
            self._raise_to(self.limit + 1)
            self._since_change = 0

    def _raise_to(self, limit: int) -> None:
        self.limit = min(limit, self._ceiling)
        if self.limit >= 2 * self._announced:
            self._announce("tasks succeed")

    # Down.

    def _fall(self, in_flight: int, sent_at: float, now: float) -> None:
        seen = min(self.limit, max(1, in_flight - 1))
        is_new = sent_at > self._fell_at
        if self._growing or self._probing or not is_new:
            if self._probing:
                self._probe_after = min(2 * self._probe_after, _PROBE_AFTER[1])
            elif is_new:
                self._probe_after = _PROBE_AFTER[0]
            self.limit = seen
        else:
            self.limit = max(1, int(seen * _FALL))
        if is_new:
            self._fell_at = now
        self._settle_down("tasks were refused for lack of room")

    def _end_round(self) -> None:
        """Compare what tasks take at this limit with what they took at lower ones."""
        self._round_results = 0
        self._round_size = max(_START, self.limit)
        lowest = min(_START, self.limit)
        self._is_slow = self._latency.is_slow(self.limit)
        if self._is_slow and self.limit == lowest:  # so it is not this client that makes them slow
            self._latency = _Latency()
            self._is_slow = False
        elif self._is_slow:
            if not self._growing:
                self.limit = max(lowest, int(self.limit * _SLOW_FALL))
            self._settle_down("tasks take longer than with fewer in flight")

    def _settle_down(self, why: str) -> None:
        self._growing = self._probing = False
        self._grow_at = None
        self._since_change = 0
        if self.limit != self._announced:
            self._announce(why)

    def _announce(self, why: str) -> None:
        self._announced = self.limit
        self.change = why


class _Latency:
    """The seconds that tasks take, by the number of tasks in flight when they were sent.

    Levels are put together by powers of two. Comparing them needs no idea of what a task should
    take, and a mean of early results, which are the fast ones, misleads nobody.
    """

    def __init__(self) -> None:
        self._means = [0.0] * _MAGNITUDES
        self._counts = [0] * _MAGNITUDES

    def add(self, in_flight: int, seconds: float) -> None:
        """Add a task that was sent as the n-th in flight."""
        magnitude = in_flight.bit_length()
        count = self._counts[magnitude]
        if count < _MEMORY:
            count = self._counts[magnitude] = count + 1
        mean = self._means[magnitude]
        self._means[magnitude] = mean + (seconds - mean) / count

    def is_slow(self, in_flight: int) -> bool:
        """Return whether tasks among this many in flight take much longer than among fewer."""
        up_to = in_flight.bit_length()
        means = [
            mean
            for mean, count in zip(self._means[: up_to + 1], self._counts, strict=False)
            if count >= _MIN_RESULTS
        ]
        return len(means) > 1 and means[-1] > _SLOW_FACTOR * min(means) + _SLOW_SECONDS
