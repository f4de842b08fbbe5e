"""Deadlines that all lie the same time ahead: adding, moving and dropping one costs nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

__all__ = ["Deadlines"]

K = TypeVar("K", bound=Hashable)


class Deadlines(Generic[K]):
    """Keys, each due `delay` seconds after it was last set.

    Because the delay is one and time does not run backwards, the order of setting is the order
    of expiry, and no heap is needed.
    """

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._due: OrderedDict[K, float] = OrderedDict()

    def set(self, key: K, now: float) -> None:
        """Let `key` be due `delay` seconds from `now`, whenever it was due before."""
        self._due[key] = now + self._delay
        self._due.move_to_end(key)

    def discard(self, key: K) -> None:
        """Forget `key`, if it is there."""
        self._due.pop(key, None)

    def first(self) -> float | None:
        """When the next key is due; None when there is none."""
        return next(iter(self._due.values()), None)

    def oldest(self) -> K | None:
        """The key that is due first; None when there is none."""
        return next(iter(self._due), None)

    def pop_due(self, now: float) -> Iterator[K]:
        """Take out the keys that are due by `now`, the oldest first."""
        while self._due:
            key, due = next(iter(self._due.items()))
            if due > now:
                return
            del self._due[key]
            yield key

    def __len__(self) -> int:
        return len(self._due)
