"""Events of the connection, for programs that monitor it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable

from .protocol.effects import Event
from .runtime.concurrency import Notification, uninterruptible

_MAX_WAITING = 1000


@uninterruptible
class Events(AsyncIterator[Event]):
    """The events of the connection, as returned by `RunwareClient.events`.

    It yields events from that call on, until the client is closed. A slow reader delays nothing: if
    more than 1000 events are waiting, the oldest are dropped.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        # `check` raises an error in a thread, process or event loop that cannot wait for events.
        self._check = check
        self._waiting: deque[Event] = deque(maxlen=_MAX_WAITING)
        self._changed = Notification()
        self._ended = False

    def _add(self, event: Event) -> None:
        self._waiting.append(event)
        self._ended = self._ended or event.kind == "closed"
        self._changed.notify()

    async def __anext__(self) -> Event:
        self._check()
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            await self._changed.wait()
        return self._waiting.popleft()

    def __repr__(self) -> str:
        return f"<Events {'ended' if self._ended else 'open'}, {len(self._waiting)} waiting>"
