"""A queue with priorities in which nobody starves."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

# One in so many items is taken from the next priority in turn, whatever waits above it.
_TURN = 8


class PriorityQueue(Generic[T]):
    """Items by priority, highest first, and in order within a priority."""

    __slots__ = ("_queues", "_taken")

    def __init__(self) -> None:
        self._queues: dict[int, deque[T]] = {}  # none of them is empty
        self._taken = 0

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def add(self, item: T, priority: int = 0) -> None:
        """Add an item behind those of its priority."""
        queue = self._queues.get(priority)
        if queue is None:
            queue = self._queues[priority] = deque()
        queue.append(item)

    def add_first(self, item: T, priority: int = 0) -> None:
        """Add an item before those of its priority."""
        self.add(item, priority)
        self._queues[priority].rotate(1)

    def first(self) -> T:
        """Return the item that `pop` would return."""
        return self._queues[self._next()][0]

    def pop(self) -> T:
        """Remove the next item and return it."""
        priority = self._next()
        queue = self._queues[priority]
        item = queue.popleft()
        self._taken += 1
        if not queue:
            del self._queues[priority]
        return item

    def remove(self, item: T, priority: int = 0) -> None:
        """Remove an item, wherever it is in the queue of its priority."""
        queue = self._queues[priority]
        queue.remove(item)
        if not queue:
            del self._queues[priority]

    def clear(self) -> None:
        """Remove all items."""
        self._queues.clear()

    def _next(self) -> int:
        """Return the priority of the next item."""
        queues = self._queues
        if len(queues) == 1:
            return next(iter(queues))
        turn, rest = divmod(self._taken, _TURN)
        if rest == _TURN - 1:
            return sorted(queues)[turn % len(queues)]
        return max(queues)
