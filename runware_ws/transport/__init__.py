"""The WebSocket itself: the websockets library's own clients for asyncio and for trio.

Both are used in the same way: no compression (images do not shrink), no control-frame pings
(they are not documented to count [D]), bytes in and bytes out, frames up to `max_size`. What
goes wrong is told as one error, `DisconnectedError`, raised outside of the ``except`` block, so
that it drags no frame of the library along, whose local variables may hold the key.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ..errors import MissingExtraError
from ..runtime.concurrency import running_on_trio
from ..settings import Endpoint
from .base import Data, DisconnectedError, Peer, Socket

__all__ = ["Data", "DisconnectedError", "Peer", "Socket", "open_socket", "require_extra"]


def require_extra() -> None:
    """Raise MissingExtraError where this runs on trio without what the extra ``trio`` brings."""
    if running_on_trio():
        try:
            from . import on_trio  # noqa: F401
        except ImportError:
            raise MissingExtraError("the client on trio", "trio") from None


def open_socket(endpoint: Endpoint) -> AbstractAsyncContextManager[Socket]:
    """Connect, for the length of an ``async with``; raises DisconnectedError.

    On leaving, the connection is cut without a goodbye: see `Socket.close`.
    """
    if running_on_trio():
        from .on_trio import open_trio_socket

        return open_trio_socket(endpoint)
    from .on_asyncio import open_asyncio_socket

    return open_asyncio_socket(endpoint)
