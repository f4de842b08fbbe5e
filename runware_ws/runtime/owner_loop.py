"""The event loop that a client belongs to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from threading import get_ident
from typing import Any

from ..transport import running_on_trio
from .concurrency import waiter_type


class OwnerLoop:
    """The event loop, thread and process in which it is created.

    Attributes:
        clock: returns the time of the event loop, in seconds.
        new_waiter: returns a new waiter for the event loop.
        is_another_process: whether this process was forked from that of the client. `Driver.forked`
            sets it, because asking the system at each call takes longer than the check.
    """

    def __init__(self) -> None:
        self.clock: Callable[[], float]
        self.new_waiter = waiter_type()
        self._current: Callable[[], Any]
        self.is_another_process = False
        self._thread = get_ident()
        if running_on_trio():
            import trio

            self.clock, self._current = trio.current_time, trio.lowlevel.current_trio_token
        else:
            self._current = asyncio.get_running_loop
            self.clock = asyncio.get_running_loop().time
        self._loop = self._current()

    def check(self, *, allow_fork: bool = False) -> None:
        """Raise RuntimeError in any other event loop, thread or process."""
        try:
            is_here = self._current() is self._loop and not self.is_another_process
        except RuntimeError:  # no event loop runs
            is_here = False
        if not is_here and not (allow_fork and self.is_another_process):
            self._refuse()

    def is_another_thread(self) -> bool:
        """Return whether the current thread is not the one of the event loop."""
        return get_ident() != self._thread

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call a function in the event loop, from any thread. If the loop has ended, do nothing."""
        with suppress(RuntimeError):  # trio's RunFinishedError is one too
            if hasattr(self._loop, "call_soon_threadsafe"):
                self._loop.call_soon_threadsafe(function)
            else:
                self._loop.run_sync_soon(function)

    def _refuse(self) -> None:
        if self.is_another_process:
            raise RuntimeError(
                "the client belongs to the process from which this one was forked: open a new one"
            )
        if self.is_another_thread():
            raise RuntimeError(
                "the client belongs to the event loop that opened it, in another thread: use "
                "`asyncio.run_coroutine_threadsafe`, `anyio.from_thread.run` or similar"
            )
        raise RuntimeError(
            "the client belongs to the event loop that opened it, which is not the running one: "
            "open a client in each"
        )


class SleepDetector:
    """Detects sleep of the machine: the wall clock advanced more than the event loop's clock."""

    _MIN_SLEEP = 5.0

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._offset = time.time() - clock()

    def check(self) -> bool:
        """Check for sleep since the last call, and return whether there was any."""
        offset = time.time() - self._clock()
        slept = offset - self._offset > self._MIN_SLEEP
        self._offset = offset
        return slept
