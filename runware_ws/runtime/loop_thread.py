"""An event loop in a background thread, for callers without one."""

from __future__ import annotations

import os
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from threading import RLock, Thread, main_thread
from typing import Any, TypeVar, overload
from weakref import ReferenceType, ref

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from ..errors import ClientClosedError

R = TypeVar("R")
_JOIN_LIMIT = 5.0
_LOOK_INTERVAL = 1.0


class LoopThread:
    """Calls functions in an event loop, from any other thread, and waits for them.

    While it is not running, each call gets a short-lived event loop. It stops automatically when it
    is not referenced any more, or when the main thread has ended. The thread is not a daemon, so
    that the interpreter waits until it has closed the connection to the service.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._portal: BlockingPortal | None = None
        self._loop: AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._pid = os.getpid()

    def __reduce__(self) -> tuple[type[LoopThread], tuple[()]]:
        return LoopThread, ()  # a copy in another process uses a loop for each call

    @property
    def was_forked(self) -> bool:
        """Return whether this is a copy in a forked process, where the thread does not exist."""
        return self._thread is not None and self._pid != os.getpid()

    def start(self, last: Callable[[], Awaitable[None]]) -> None:
        """Start the thread, unless it is running.

        Args:
            last: called in the event loop at its end, if `stop` was not called.
        """
        self._refuse_after_fork()
        with self._lock:
            if self._portal is None:
                started: Future[tuple[BlockingPortal, AbstractEventLoop]] = Future()
                arguments = (_serve, started, ref(self), last)
                self._thread = Thread(target=anyio.run, args=arguments, name="runware_ws.sync")
                self._pid = os.getpid()
                self._thread.start()
                self._portal, self._loop = started.result()

    def stop(self) -> None:
        """Stop the thread, unless it is stopped. Running calls of other threads are completed."""
        with self._lock:
            portal, self._portal = self._portal, None
            if portal is not None:
                portal.call(portal.stop)
        if portal is not None and self._thread is not None:
            self._thread.join(_JOIN_LIMIT)

    def submit(self, function: Callable[[], Awaitable[R]]) -> Future[R]:
        """Start a call in the running event loop, and return its future."""
        self._refuse_after_fork()
        with self._lock:  # or the loop could stop before it hears of the call
            if self._portal is None:
                raise ClientClosedError("the client is closed")
            return self._portal.start_task_soon(function)

    @overload
    def call(self, function: Callable[[], Awaitable[R]]) -> R: ...

    @overload
    def call(self, function: Callable[[], R]) -> R: ...

    def call(self, function: Callable[[], Any]) -> Any:
        """Call a function, and return its result. An awaitable result is awaited.

        An exception in the waiting thread, such as KeyboardInterrupt, cancels the call.
        """
        self._refuse_after_fork()
        with ExitStack() as stack:
            with self._lock:
                portal = self._portal or stack.enter_context(start_blocking_portal())
                future = portal.start_task_soon(function)
            try:
                return future.result()
            except BaseException:
                future.cancel()
                raise

    def post(self, function: Callable[[], object]) -> None:
        """Schedule a function, without waiting. Any thread may do this, even in a destructor."""
        if self._loop is not None and not self.was_forked:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(function)

    def _refuse_after_fork(self) -> None:
        if self.was_forked:
            raise ClientClosedError(
                "the client was opened before a fork, and has no thread in this process: open a "
                "client in each process"
            )


async def _serve(
    started: Future[tuple[BlockingPortal, AbstractEventLoop]],
    owner: ReferenceType[LoopThread],
    last: Callable[[], Awaitable[None]],
) -> None:
    """Serve calls until the portal is stopped, or is not referenced any more."""
    async with BlockingPortal() as portal:
        started.set_result((portal, get_running_loop()))
        while main_thread().is_alive() and owner() is not None:
            with anyio.move_on_after(_LOOK_INTERVAL):
                await portal.sleep_until_stopped()
                return
        await last()
