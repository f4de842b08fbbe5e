"""A priority queue without starvation."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

# One of this number of items is taken from a lower priority, even if higher ones are waiting.
_TURN = 8


class PriorityQueue(Generic[T]):
    """Items by priority, highest first, and in order within a priority.

    Attributes:
        count: number of items.
    """

    __slots__ = ("_queues", "_taken", "count")

    def __init__(self) -> None:
        self.count = 0
        self._queues: dict[int, deque[T]] = {}  # none of them is empty
        self._taken = 0

    def add(self, item: T, priority: int = 0) -> None:
        """Add an item behind those of its priority."""
        queue = self._queues.get(priority)
        if queue is None:
            queue = self._queues[priority] = deque()
        queue.append(item)
        self.count += 1

    def add_first(self, item: T, priority: int = 0) -> None:
        """Add an item before those of its priority."""
        self.add(item, priority)
        self._queues[priority].rotate(1)

    def first(self) -> T:
        """Return the item that `pop` would return."""
        return self._next()[0]

    def pop(self) -> T:
        """Remove the next item and return it."""
        item = self._next().popleft()
        self.took(1)
        return item

    def in_a_row(self) -> tuple[deque[T], int]:
        """Return the queue of the next item, and the number of items that may be taken in a row.

        After taking some of them, the caller calls `took`.
        """
        if len(self._queues) > 1:
            return self._next(), 1
        (queue,) = self._queues.values()
        return queue, self.count

    def took(self, number: int) -> None:
        """Record that `number` items were taken from the queue that `in_a_row` returned."""
        self._taken += number
        self.count -= number
        if not self.count:
            self._queues = {}
        elif len(self._queues) > 1:
            self._queues = {priority: one for priority, one in self._queues.items() if one}

    def remove(self, item: T, priority: int = 0) -> None:
        """Remove an item from any place in the queue of its priority."""
        queue = self._queues[priority]
        queue.remove(item)
        self.count -= 1
        if not queue:
            del self._queues[priority]

    def clear(self) -> None:
        """Remove all items."""
        self._queues.clear()
        self.count = 0

    def _next(self) -> deque[T]:
        """Return the queue of the next item."""
        queues = self._queues
        turn, rest = divmod(self._taken, _TURN)
        if rest == _TURN - 1:
            return queues[sorted(queues)[turn % len(queues)]]
        return queues[max(queues)]
