"""Worker threads of the client's own, apart from those of the program."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple, Unpack

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

_MAX_THREADS = 16
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("runware_ws threads")


async def run_in_thread(
    function: Callable[[Unpack[Ts]], R],
    *args: *Ts,
    abandon_on_cancel: bool = False,
    limiter: anyio.CapacityLimiter | None = None,
) -> R:
    """Call a function in a worker thread.

    The threads are counted apart from those of the program: it may need all of its own to wait for
    this client. What must not wait for anything else that runs here has a limiter of its own.
    """
    limiter = limiter or _limiter.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(_MAX_THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(
        function, *args, abandon_on_cancel=abandon_on_cancel, limiter=limiter
    )
