"""Delays that grow with each attempt, as pure functions."""

from __future__ import annotations

from collections.abc import Callable

# 2 ** 32 times any first delay exceeds every limit used here, and does not overflow.
_MAX_DOUBLINGS = 32


def ceiling(attempt: int, delays: tuple[float, float], factor: float = 2.0) -> float:
    """Return the delay before attempt `attempt` (from 0). It grows from the first to the last."""
    first, longest = delays
    return min(longest, first * factor ** min(attempt, _MAX_DOUBLINGS))


def full_jitter(attempt: int, delays: tuple[float, float], rng: Callable[[], float]) -> float:
    """Return a random delay, uniformly distributed from 0 to `ceiling`.

    With full jitter, clients do not all connect at the same time after an outage of the service.
    """
    return rng() * ceiling(attempt, delays)
