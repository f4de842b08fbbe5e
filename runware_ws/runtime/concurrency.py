"""Concurrency helpers that work the same on asyncio and trio."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Generator
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
    "Waiter",
    "new_waiter",
    "run_in_thread",
    "run_off_loop",
    "uninterruptible",
    "waiter_type",
    "wake",
]

T = TypeVar("T")
R = TypeVar("R")

# Encoding, decoding or hashing more bytes would block the event loop for about a millisecond. For
# fewer, a worker thread costs more than the work.
LARGE_BYTES = 256 * 1024


async def run_off_loop(function: Callable[[T], R], argument: T, size: int) -> R:
    """Call a function that processes `size` bytes, in a worker thread if these are many."""
    if size < LARGE_BYTES:
        return function(argument)
    return await run_in_thread(function, argument)


class Waiter(Protocol):
    """Something that one task awaits until another wakes it: a future of asyncio, or its like.

    On asyncio it takes a quarter of the time of `anyio.Event`, and each task has one.
    """

    def done(self) -> bool: ...

    def set_result(self, result: None, /) -> None: ...

    def __await__(self) -> Generator[Any, Any, Any]: ...


class _TrioWaiter:
    __slots__ = ("_event",)

    def __init__(self, event: Any) -> None:
        self._event = event

    def done(self) -> bool:
        return bool(self._event.is_set())

    def set_result(self, _: None, /) -> None:
        self._event.set()

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            yield from self._event.wait().__await__()
        finally:
            self._event.set()  # also when it was cancelled, as a future is done then


def waiter_type() -> Callable[[], Waiter]:
    """Return a function that makes waiters for the running event loop."""
    if running_on_trio():
        import trio

        return lambda: _TrioWaiter(trio.Event())
    return asyncio.get_running_loop().create_future


def new_waiter() -> Waiter:
    """Return a new waiter for the running event loop."""
    return waiter_type()()


def wake(waiter: Waiter) -> None:
    """Wake the task that awaits a waiter, unless it was woken or cancelled before."""
    if not waiter.done():
        waiter.set_result(None)


class Notification:
    """Wakes all tasks that wait for a change, so that they check again."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: dict[Waiter, None] = {}  # in the order in which they came

    def notify(self) -> None:
        """Wake all current waiters."""
        waiters, self._waiters = self._waiters, {}  # the next time, they are not looked at again
        for waiter in waiters:
            wake(waiter)

    async def wait(self) -> None:
        """Wait for the next `notify`. Cancelling one waiter does not affect the others."""
        waiter = new_waiter()
        self._waiters[waiter] = None
        try:
            await waiter
        finally:
            self._waiters.pop(waiter, None)  # it was not woken


_uninterruptible: list[FunctionType] = []  # not known to trio yet


def uninterruptible(cls: type[T]) -> type[T]:
    """Decorate a class, so that Ctrl-C interrupts its methods only while they wait.

    On trio, KeyboardInterrupt is raised between any two instructions of a task, unless the code is
    marked; on asyncio the main task is cancelled. A client in a half-changed state could not be
    closed.
    """
    _uninterruptible.extend(one for one in vars(cls).values() if isinstance(one, FunctionType))
    return cls


def _mark_uninterruptible() -> None:
    import trio

    while _uninterruptible:
        trio.lowlevel.enable_ki_protection(_uninterruptible.pop())


def _is_interrupt_on_trio(error: BaseException) -> bool:
    """Return whether Ctrl-C was raised in a task that a library had started for this one."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None and running_on_trio()
    return isinstance(error, KeyboardInterrupt) and running_on_trio()


class Background:
    """An async function in a background task that outlives the call that starts it.

    No task group is held across the caller's ``async with``, so that the client may be opened in
    one task and closed in another (a FastAPI lifespan, a pytest fixture, an AsyncExitStack). The
    task ends when the function returns, when it is cancelled, or when the event loop ends. It has
    the context variables of its creator. On trio, Ctrl-C is raised in the main task, not in it.

    Args:
        function: the function. It must handle its own errors, because its task is not awaited.
        name: name of the task, for debuggers.
    """

    def __init__(self, function: Callable[[], Awaitable[None]], name: str) -> None:
        self._function = function
        # Made in the task, because anyio cannot make it in a callback of asyncio.
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
