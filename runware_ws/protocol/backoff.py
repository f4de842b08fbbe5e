"""Delays between attempts, as pure functions: the rng come in as an argument."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["full_jitter", "poll_delay"]

# 2 ** 32 times any start is over every limit used here, and far from an overflow.
_MAX_DOUBLINGS = 32


def full_jitter(attempt: int, start: float, limit: float, rng: Callable[[], float]) -> float:
    """Seconds to wait before attempt number `attempt` (from 0), evenly drawn from 0 to a ceiling.

    The ceiling doubles from `start` to `limit`. Full jitter spreads the clients of a service
    that comes back, so that they do not all knock at once.
    """
    return rng() * min(limit, start * 2.0 ** min(attempt, _MAX_DOUBLINGS))


def poll_delay(asked: int) -> float:
    """Seconds to wait before asking again for a task that was asked for `asked` times.

    From 50 ms, since small images take no longer, by a quarter up to 5 s: an answer is late by
    a quarter of its time at most.
    """
    return min(5.0, 0.05 * 1.25 ** min(asked, _MAX_DOUBLINGS))
