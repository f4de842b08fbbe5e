"""Small tools of concurrency that behave alike on asyncio and trio."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from types import FunctionType
from typing import Any, Protocol, TypeVar

import anyio

from ..transport import running_on_trio
from ..transport.threads import run_in_thread

__all__ = [
    "LARGE_BYTES",
    "Background",
    "Notification",
    "OneShotEvent",
    "one_shot_event",
    "one_shot_event_type",
    "run_in_thread",
    "run_off_loop",
    "uninterruptible",
]

T = TypeVar("T")
R = TypeVar("R")

# Encoding, decoding or hashing more than this would hold up the event loop for up to a millisecond;
# for less, a worker thread costs more than the work.
LARGE_BYTES = 256 * 1024


async def run_off_loop(function: Callable[[T], R], argument: T, size: int) -> R:
    """Call a function that works on `size` bytes, in a worker thread if these are many."""
    if size < LARGE_BYTES:
        return function(argument)
    return await run_in_thread(function, argument)


class OneShotEvent(Protocol):
    """An event that is set once. It costs a third of `anyio.Event`, and each task may have one."""

    def set(self) -> None: ...

    def wait(self) -> Awaitable[Any]: ...


class _AsyncioEvent:
    """An event that takes a tenth of the memory of asyncio's own while one task waits for it."""

    __slots__ = ("_is_set", "_waiters")

    def __init__(self) -> None:
        self._is_set = False
        self._waiters: list[asyncio.Future[None]] = []

    def set(self) -> None:
        self._is_set = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        waiter = asyncio.get_running_loop().create_future()
        if self._is_set:
            waiter.set_result(None)
            return waiter
        count = len(self._waiters)
        if count and not count & (count - 1):  # now and then, as it takes time: some were cancelled
            self._waiters = [one for one in self._waiters if not one.done()]
        self._waiters.append(waiter)
        return waiter


def one_shot_event_type() -> Callable[[], OneShotEvent]:
    """Return the kind of event for the event loop that runs."""
    if running_on_trio():
        import trio

        return trio.Event
    return _AsyncioEvent


def one_shot_event() -> OneShotEvent:
    """Return a new event for the event loop that runs."""
    return one_shot_event_type()()


class Notification:
    """Wakes everybody who waits for a change, so that they look again."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: OneShotEvent | None = None  # made when waited for: no event loop may run yet

    def notify(self) -> None:
        """Wake all who wait at present."""
        if self._event is not None:
            event, self._event = self._event, None
            event.set()

    async def wait(self) -> None:
        """Wait for the next `notify`. Cancelling one waiter does not affect the others."""
        if self._event is None:
            self._event = one_shot_event()
        await self._event.wait()


_uninterruptible: list[FunctionType] = []  # not known to trio yet


def uninterruptible(cls: type[T]) -> type[T]:
    """Have Ctrl-C wait until the methods of a class wait or return. It decorates the class.

    On trio, KeyboardInterrupt is raised between any two instructions of a task, unless the code is
    marked; on asyncio the main task is cancelled. State that is half changed could not be closed.
    """
    _uninterruptible.extend(one for one in vars(cls).values() if isinstance(one, FunctionType))
    return cls


def _mark_uninterruptible() -> None:
    import trio

    while _uninterruptible:
        trio.lowlevel.enable_ki_protection(_uninterruptible.pop())


def _is_interrupt_on_trio(error: BaseException) -> bool:
    """Return whether Ctrl-C was raised in a task that a library has started for this one."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None and running_on_trio()
    return isinstance(error, KeyboardInterrupt) and running_on_trio()


class Background:
    """An async function that runs in a task of its own and outlives the call that starts it.

    No task group is held across the caller's ``async with``, so that the client may be opened in
    one task and closed in another (a FastAPI lifespan, a pytest fixture, an AsyncExitStack). The
    task ends by itself, when it is cancelled, or when the event loop ends. It has the context
    variables of its creator. On trio, Ctrl-C is never raised in it, but in the main task.

    Args:
        function: what to run. It must handle its own errors, since nobody waits for them.
        name: name of the task, for debuggers.
    """

    def __init__(self, function: Callable[[], Awaitable[None]], name: str) -> None:
        self._function = function
        # Made in the task: anyio makes none in a callback of asyncio's, nor an event.
        self._scope: anyio.CancelScope | None = None
        self._cancelled = False
        self._ended = False
        self._end = Notification()
        if running_on_trio():
            import trio

            _mark_uninterruptible()
            trio.lowlevel.spawn_system_task(self._run, name=name, context=copy_context())
        else:
            # The event loop keeps only a weak reference to its tasks.
            self._task = asyncio.get_running_loop().create_task(self._run(), name=name)

    async def _run(self) -> None:
        try:
            with anyio.CancelScope() as self._scope:
                if self._cancelled:
                    self._scope.cancel()
                await self._function()
        except BaseException as error:
            if not _is_interrupt_on_trio(error):
                raise
            signal.raise_signal(signal.SIGINT)  # once more: here, trio has the main task raise it
        finally:
            self._ended = True
            self._end.notify()

    def cancel(self) -> None:
        """Cancel the task; it may need some time to end."""
        self._cancelled = True
        if self._scope is not None and not self._ended:
            self._scope.cancel()

    async def wait(self) -> None:
        """Wait until the task has ended."""
        while not self._ended:
            await self._end.wait()
