"""Worker threads of the client, separate from those of the program."""

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

    The threads have their own limit: the program may need all of its threads to wait for this
    client. A call that must not wait for other calls passes its own limiter.
    """
    limiter = limiter or _limiter.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(_MAX_THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(
        function, *args, abandon_on_cancel=abandon_on_cancel, limiter=limiter
    )
