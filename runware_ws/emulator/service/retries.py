"""When to try a webhook, or the upload of a result, again."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from .effects import Upload, Webhook

__all__ = ["Retries"]


class Retries:
    """What was not accepted and waits for its next try.

    Args:
        attempts: how often each is tried in all.
        delay: seconds before the second try; each further wait is twice as long.
        longest: seconds that a wait lasts at most.
    """

    def __init__(self, attempts: int, delay: float, longest: float) -> None:
        self._attempts = attempts
        self._delay = delay
        self._longest = longest
        self._waiting: list[tuple[float, int, Webhook | Upload]] = []
        self._numbers = count()  # so that two of the same time are never compared themselves

    def add(self, effect: Webhook | Upload, now: float) -> bool:
        """Let `effect` wait for its next try; False when it has had its last."""
        if effect.attempt >= self._attempts:
            return False
        doublings = min(effect.attempt - 1, 30)
        due = now + min(self._delay * 2**doublings, self._longest)
        again = replace(effect, attempt=effect.attempt + 1)
        heapq.heappush(self._waiting, (due, next(self._numbers), again))
        return True

    def first(self) -> float | None:
        """When the next try is due; None when there is none."""
        return self._waiting[0][0] if self._waiting else None

    def pop_due(self, now: float) -> Iterator[Webhook | Upload]:
        """Take out what is due by `now`."""
        while self._waiting and self._waiting[0][0] <= now:
            yield heapq.heappop(self._waiting)[2]
