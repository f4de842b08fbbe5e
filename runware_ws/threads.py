"""What is too small for a thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

__all__ = ["LARGE_BYTES", "off_loop"]

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
