"""Byte streams to the service on asyncio and on trio, and the WebSocket protocol on top of them.

`WebSocket` is the protocol without I/O. `open_stream` opens a TCP or TLS connection, through the
proxy of the environment if there is one, and passes received bytes to a `Receiver`.
"""

from __future__ import annotations

import sys
from contextlib import AbstractAsyncContextManager

from .base import Receiver, Stream, Target
from .websocket import PIECE_BYTES, DisconnectedError, WebSocket

__all__ = [
    "PIECE_BYTES",
    "DisconnectedError",
    "Receiver",
    "Stream",
    "Target",
    "WebSocket",
    "open_stream",
    "running_on_trio",
]


def running_on_trio() -> bool:
    """Return whether the caller runs on trio; otherwise it runs on asyncio."""
    trio = sys.modules.get("trio")
    lowlevel = getattr(trio, "lowlevel", None)  # another thread may be importing it at present
    if lowlevel is None:
        return False
    try:
        lowlevel.current_task()
    except RuntimeError:
        return False
    return True


def open_stream(target: Target, receiver: Receiver) -> AbstractAsyncContextManager[Stream]:
    """Open a stream for the duration of an ``async with`` block, and abort it at the end.

    Raises:
        OSError: the server or its proxy cannot be reached, or refuses the connection.
    """
    if running_on_trio():
        from .on_trio import open_trio_stream

        return open_trio_stream(target, receiver)
    from .on_asyncio import open_asyncio_stream

    return open_asyncio_stream(target, receiver)
