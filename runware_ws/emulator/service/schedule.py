"""A schedule of keys and due times, used by all timers of the emulator."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from itertools import count
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
_SLACK = 100


class Schedule(Generic[K]):
    """Keys, each with the time at which it is due.

    It is a heap with one valid entry per key. Most keys only move to later times: a connection's
    idle timeout moves with each message. Such a move changes one number; the entry in the heap is
    corrected when it comes to the top. An entry with another number than its key is stale, and is
    dropped there.
    """

    def __init__(self) -> None:
        self._due: dict[K, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._numbers = count()  # also keeps the heap from comparing keys

    def set(self, key: K, due: float) -> None:
        """Make `key` due at `due`, and replace its earlier time."""
        known = self._due.get(key)
        if known is not None and known[0] <= due:
            self._due[key] = (due, known[1])
            return
        number = next(self._numbers)
        self._due[key] = (due, number)
        heapq.heappush(self._heap, (due, number, key))

    def discard(self, key: K) -> None:
        """Remove `key`, if it is there."""
        self._due.pop(key, None)
        if len(self._heap) > 2 * len(self._due) + _SLACK:  # stale entries hold their keys
            self._heap = [(due, number, key) for key, (due, number) in self._due.items()]
            heapq.heapify(self._heap)

    def first(self) -> float | None:
        """Return the time at which the next key is due; None if there is no key."""
        while self._heap:
            due, number, key = self._heap[0]
            actual = self._due.get(key)
            if actual == (due, number):
                return due
            heapq.heappop(self._heap)
            if actual is not None and actual[1] == number:  # it was moved to a later time
                heapq.heappush(self._heap, (actual[0], number, key))
        return None

    def pop(self) -> K:
        """Remove the key that is due first, and return it.

        Raises:
            IndexError: there is no key.
        """
        self.first()
        key = heapq.heappop(self._heap)[2]
        del self._due[key]
        return key

    def pop_due(self, now: float) -> Iterator[K]:
        """Remove the keys that are due by `now`, and yield them in order."""
        while (due := self.first()) is not None and due <= now:
            yield self.pop()

    def __iter__(self) -> Iterator[K]:
        """Iterate over the keys in the order in which they were added."""
        return iter(self._due)

    def __len__(self) -> int:
        return len(self._due)
