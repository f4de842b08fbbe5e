"""Delays that grow from one attempt to the next, as pure functions."""

from __future__ import annotations

from collections.abc import Callable

# 2 ** 32 times any first delay is over every limit used here, and far from an overflow.
_MAX_DOUBLINGS = 32


def ceiling(attempt: int, delays: tuple[float, float], factor: float = 2.0) -> float:
    """Return the delay before attempt number `attempt` (from 0): it grows from one to the other."""
    first, longest = delays
    return min(longest, first * factor ** min(attempt, _MAX_DOUBLINGS))


def full_jitter(attempt: int, delays: tuple[float, float], rng: Callable[[], float]) -> float:
    """Return a delay drawn evenly from 0 to `ceiling`.

    Full jitter spreads the clients of a service that comes back, so that they do not all connect at
    the same time.
    """
    return rng() * ceiling(attempt, delays)
