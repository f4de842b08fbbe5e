"""What happens to the connection, for whoever wants to know."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator

from .protocol.effects import Event
from .runtime.concurrency import Notification

__all__ = ["Events"]

_MOST = 1000


class Events(AsyncIterator[Event]):
    """What happens from now on, until the client is closed.

    A slow reader holds up nobody: of more than 1000 events that wait, the oldest are dropped.
    """

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque(maxlen=_MOST)
        self._changed = Notification()
        self._ended = False

    def tell(self, happening: Event) -> None:
        """For this package: one more."""
        self._waiting.append(happening)
        self._ended = self._ended or happening.kind == "closed"
        self._changed.tell()

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            await self._changed.wait()
        return self._waiting.popleft()
