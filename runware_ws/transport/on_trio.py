"""The WebSocket on trio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import trio
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.trio.client import ClientConnection, connect

from ..settings import Endpoint
from .base import CLOSE_TIMEOUT, Socket, connect_options, lost, tune

__all__ = ["open_trio_socket"]

# Large frames are handed over in pieces, so that their progress can be seen.
_PIECE_BYTES = 64 * 1024


class _WatchedStream(trio.abc.HalfCloseableStream):
    """A stream that notes when bytes came in and how many still have to go out."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.inner = stream
        self.heard_at = 0.0
        self.unsent_bytes = 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self.inner.receive_some(max_bytes)
        self.heard_at = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        self.unsent_bytes = len(view)
        for start in range(0, len(view), _PIECE_BYTES):
            await self.inner.send_all(view[start : start + _PIECE_BYTES])
            self.unsent_bytes = len(view) - start
        self.unsent_bytes = 0

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        if isinstance(self.inner, trio.abc.HalfCloseableStream):
            await self.inner.send_eof()
        else:  # TLS cannot be closed in one direction
            await self.inner.aclose()

    async def aclose(self) -> None:
        await self.inner.aclose()


class _Connection(ClientConnection):
    """The library's connection, over a watched stream."""

    def __init__(
        self, nursery: trio.Nursery, stream: trio.abc.Stream, *args: Any, **options: Any
    ) -> None:
        self.watched = _WatchedStream(stream)
        super().__init__(nursery, self.watched, *args, **options)


class _TrioSocket(Socket):
    def __init__(self, connection: _Connection, max_size: int) -> None:
        self._connection = connection
        self._max_size = max_size

    @property
    def heard_at(self) -> float:
        return self._connection.watched.heard_at

    async def send(self, data: bytes) -> None:
        try:
            await self._connection.send(data, text=True)
            return
        except (ConnectionClosed, OSError, trio.BrokenResourceError) as error:
            why = lost(error, self._max_size)
        raise why

    async def receive(self) -> bytes:
        try:
            return await self._connection.recv(decode=False)
        except (ConnectionClosed, OSError, trio.BrokenResourceError) as error:
            why = lost(error, self._max_size)
        raise why

    def unsent_bytes(self) -> int:
        return self._connection.watched.unsent_bytes

    async def close(self) -> None:
        with trio.move_on_after(CLOSE_TIMEOUT):
            await self._connection.aclose()


@asynccontextmanager
async def open_trio_socket(endpoint: Endpoint) -> AsyncIterator[Socket]:
    """See `runware_ws.transport.open_socket`."""
    opened = False
    try:
        async with connect(
            endpoint.url, create_connection=_Connection, **connect_options(endpoint)
        ) as plain:
            opened = True
            connection = cast(_Connection, plain)
            tune(_raw_socket(connection.watched))
            try:
                yield _TrioSocket(connection, endpoint.max_size)
            finally:
                await trio.aclose_forcefully(connection.watched)
        return
    except (OSError, InvalidHandshake, InvalidURI, EOFError, trio.BrokenResourceError) as error:
        if opened:
            raise
        why = lost(error, endpoint.max_size)
    raise why


def _raw_socket(watched: _WatchedStream) -> Any:
    stream: Any = watched.inner
    return (stream.transport_stream if isinstance(stream, trio.SSLStream) else stream).socket
