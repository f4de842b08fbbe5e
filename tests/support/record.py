"""Record what a scripted server has seen, and let a test wait for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio

from runware_ws.transport import running_on_trio
from tests.support.answers import Item

if TYPE_CHECKING:
    from tests.support.connection import Connection

__all__ = ["PATIENCE", "Record"]

PATIENCE = 20.0
"""Seconds after which `Record.until` calls a condition hopeless."""


class Record:
    """Everything that came in, over all connections.

    Attributes:
        connections: every connection so far.
        known: the tasks that the obliging server has taken, by taskUUID.
        executed: their taskUUIDs, in order.
    """

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.known: dict[str, Item] = {}
        self.executed: list[str] = []
        self._listeners: set[Callable[[], None]] = set()

    @property
    def frames(self) -> list[str | bytes]:
        """Every frame of every connection, in the order of the connections."""
        return [frame for connection in self.connections for frame in connection.frames]

    @property
    def tasks(self) -> list[Item]:
        """Every task that is neither an authentication nor a ping."""
        return [
            task
            for connection in self.connections
            for task in connection.tasks
            if task["taskType"] not in ("authentication", "ping")
        ]

    def of_kind(self, kind: str) -> list[Item]:
        """Every task of one taskType."""
        tasks = [task for connection in self.connections for task in connection.tasks]
        return [task for task in tasks if task["taskType"] == kind]

    async def until(self, condition: Callable[[], Any]) -> None:
        """For tests, on either event loop: wait until the record fulfils `condition`.

        It is looked at after each frame received and each connection opened or closed.
        """
        news = anyio.Event()
        into_loop = _into_this_loop()

        def wake() -> None:
            news.set()  # whichever event is the present one by then

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the test's loop may have ended
                into_loop(wake)

        self._listeners.add(tell)
        try:
            with anyio.fail_after(PATIENCE):
                while not condition():
                    await news.wait()
                    news = anyio.Event()
        finally:
            self._listeners.discard(tell)

    def tell(self) -> None:
        """The record has changed."""
        for listener in list(self._listeners):
            listener()


def _into_this_loop() -> Callable[[Callable[[], Any]], Any]:
    """A function that lets another thread have something called in the running event loop."""
    if running_on_trio():
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon
    return asyncio.get_running_loop().call_soon_threadsafe
