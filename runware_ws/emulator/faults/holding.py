"""What a fault holds back for a while."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from ...protocol.wire import Item
from ..service.effects import Push
from ..service.sessions import Link

__all__ = ["Held", "Holding"]


@dataclass(slots=True, eq=False)
class Held:
    """Frames or tasks that belong together, and wait.

    Attributes:
        link: their connection.
        due: when they are let go.
        place: that of the fault that holds frames; those after it are still to come.
        pushes: the frames, on their way out.
        tasks: the tasks, on their way in.
        is_over: whether they were let go before their time.
    """

    link: Link
    due: float
    place: int = -1
    pushes: list[Push] = field(default_factory=list)
    tasks: list[Item] = field(default_factory=list)
    is_over: bool = False


class Holding:
    """All that is held back, by time and by connection."""

    def __init__(self) -> None:
        self._queue: list[tuple[float, int, Held]] = []
        self._of_link: dict[Link, list[Held]] = {}
        self._numbers = count()  # so that two of the same time are never compared themselves

    def add(self, held: Held) -> None:
        heapq.heappush(self._queue, (held.due, next(self._numbers), held))
        self._of_link.setdefault(held.link, []).append(held)

    def find(self, link: Link, place: int) -> Held | None:
        """What the fault at `place` has begun to gather on a connection."""
        return next((held for held in self._of_link.get(link, ()) if held.place == place), None)

    def first(self) -> float | None:
        """When something is due; None when nothing is held."""
        while self._queue and self._queue[0][2].is_over:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def pop_due(self, now: float) -> Iterator[Held]:
        """Let go what is due by `now`, the oldest first."""
        while (due := self.first()) is not None and due <= now:
            held = self._queue[0][2]
            self.let_go(held)
            yield held

    def let_go(self, held: Held) -> None:
        """Hold it no longer."""
        held.is_over = True
        siblings = self._of_link[held.link]
        siblings.remove(held)
        if not siblings:
            del self._of_link[held.link]

    def forget(self, link: Link) -> list[Push]:
        """A connection has ended: the frames that were held for it."""
        held_back = self._of_link.pop(link, [])
        for held in held_back:
            held.is_over = True
        return [push for held in held_back for push in held.pushes]
