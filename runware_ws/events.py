"""Events of the connection, for programs that watch it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable

from .protocol.effects import Event
from .runtime.concurrency import Notification, uninterruptible

_MAX_WAITING = 1000


@uninterruptible
class Events(AsyncIterator[Event]):
    """The events from now on, until the client is closed.

    A slow reader holds up nobody: of more than 1000 events that wait, the oldest are dropped.

    Args:
        check: raises an error where the events cannot be waited for.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._waiting: deque[Event] = deque(maxlen=_MAX_WAITING)
        self._news = Notification()
        self._ended = False

    def _add(self, event: Event) -> None:
        self._waiting.append(event)
        self._ended = self._ended or event.kind == "closed"
        self._news.notify()

    async def __anext__(self) -> Event:
        self._check()
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            await self._news.wait()
        return self._waiting.popleft()
