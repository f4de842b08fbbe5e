"""Work that outlives the call that starts it, on asyncio and on trio.

No task group is held across the caller's ``async with``: the client may be opened in one task
and closed in another (a FastAPI lifespan, a pytest fixture, an AsyncExitStack).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio

__all__ = ["Background", "Event", "event_factory", "running_on_trio"]


def running_on_trio() -> bool:
    """Whether the caller runs on trio; otherwise it runs on asyncio."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


class Event(Protocol):
    """What the event loops' own events have in common. They cost a third of anyio's."""

    def set(self) -> None: ...

    async def wait(self) -> Any: ...


def event_factory() -> Callable[[], Event]:
    """The event of the event loop that runs."""
    if running_on_trio():
        import trio

        return trio.Event
    return asyncio.Event


class Background:
    """One async function, run in a task of its own from now on.

    It ends by itself, when it is cancelled here, or when the event loop ends. `function` must
    deal with its own errors: nobody waits for them.
    """

    def __init__(self, function: Callable[[], Awaitable[None]], name: str) -> None:
        self._function = function
        self._scope = anyio.CancelScope()
        self._done = anyio.Event()
        if running_on_trio():
            import trio

            trio.lowlevel.spawn_system_task(self._run, name=name)
        else:
            # The loop itself keeps only a weak reference.
            self._task = asyncio.get_running_loop().create_task(self._run(), name=name)

    async def _run(self) -> None:
        try:
            with self._scope:
                await self._function()
        finally:
            self._done.set()

    def cancel(self) -> None:
        """Cancel it; it may still be busy with its own end."""
        if not self._done.is_set():
            self._scope.cancel()

    async def wait(self) -> None:
        """Wait until it has ended."""
        await self._done.wait()
