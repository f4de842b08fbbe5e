"""The event loops: the little that a driver needs of each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from importlib import import_module
from typing import Any

__all__ = ["Loop", "loop_named"]


@dataclass(frozen=True)
class Loop:
    """An event loop.

    Attributes:
        run: run a coroutine function to its end.
        sleep: wait for seconds.
        together: run a coroutine function so many times at once.
    """

    run: Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
    sleep: Callable[[float], Awaitable[None]]
    together: Callable[[Callable[[], Coroutine[Any, Any, None]], int], Awaitable[None]]


def loop_named(name: str) -> Loop:
    """``asyncio``, ``uvloop`` or ``trio``."""
    if name == "trio":
        return _trio_loop()
    run = asyncio.run if name == "asyncio" else import_module("uvloop").run
    return Loop(lambda main: run(main()), asyncio.sleep, _gather)


async def _gather(function: Callable[[], Coroutine[Any, Any, None]], times: int) -> None:
    await asyncio.gather(*(function() for _ in range(times)))


def _trio_loop() -> Loop:
    import trio

    async def nursery(function: Callable[[], Coroutine[Any, Any, None]], times: int) -> None:
        async with trio.open_nursery() as group:
            for _ in range(times):
                group.start_soon(function)

    return Loop(trio.run, trio.sleep, nursery)
