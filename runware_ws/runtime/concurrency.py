"""Work that outlives the call that starts it, on asyncio and on trio.

No task group is held across the caller's ``async with``: the client may be opened in one task
and closed in another (a FastAPI lifespan, a pytest fixture, an AsyncExitStack).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread

__all__ = [
    "LARGE_BYTES",
    "Background",
    "Event",
    "Notification",
    "event_factory",
    "off_loop",
    "running_on_trio",
]


def running_on_trio() -> bool:
    """Whether the caller runs on trio; otherwise it runs on asyncio."""
    trio = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


class Event(Protocol):
    """What trio's events and ours for asyncio have in common. They cost a third of anyio's."""

    def set(self) -> None: ...

    def wait(self) -> Awaitable[Any]: ...


class _AsyncioEvent:
    """An event for one or few to wait for, which takes a tenth of the memory of asyncio's own."""

    __slots__ = ("_first", "_is_set", "_others")

    def __init__(self) -> None:
        self._is_set = False
        self._first: asyncio.Future[None] | None = None
        self._others: list[asyncio.Future[None]] | None = None

    def set(self) -> None:
        self._is_set = True
        if self._first is not None and not self._first.done():
            self._first.set_result(None)
        for waiter in self._others or ():
            if not waiter.done():
                waiter.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        waiter = asyncio.get_running_loop().create_future()
        if self._is_set:
            waiter.set_result(None)
        elif self._first is None or self._first.done():
            self._first = waiter
        else:
            self._others = [one for one in self._others or () if not one.done()]  # not cancelled
            self._others.append(waiter)
        return waiter


def event_factory() -> Callable[[], Event]:
    """The event of the event loop that runs."""
    if running_on_trio():
        import trio

        return trio.Event
    return _AsyncioEvent


class Notification:
    """Something that changes, for any number who wait: all are woken, to look again."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: Event | None = None  # made when waited for: before, no event loop may run

    def tell(self) -> None:
        """It has changed."""
        if self._event is not None:
            event, self._event = self._event, None
            event.set()

    async def wait(self) -> None:
        """Wait for the next change. Cancelled, the others go on waiting."""
        if self._event is None:
            self._event = event_factory()()
        await self._event.wait()


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


T = TypeVar("T")
R = TypeVar("R")

# From here on, decoding would hold up the event loop for about a millisecond, encoding and hashing
# for less. Below, the way to a thread and back costs more: of a file of 32 KiB, two thirds of all.
LARGE_BYTES = 256 * 1024


async def off_loop(function: Callable[[T], R], argument: T, size: int) -> R:
    """Call a function that works on so many bytes, in a thread if these are many."""
    if size < LARGE_BYTES:
        return function(argument)
    return await anyio.to_thread.run_sync(function, argument)
