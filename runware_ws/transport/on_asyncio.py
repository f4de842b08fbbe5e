"""The WebSocket on asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import anyio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from ..settings import Endpoint
from .base import CLOSE_TIMEOUT, Socket, connect_options, lost, tune

__all__ = ["open_asyncio_socket"]


class _Connection(ClientConnection):
    """The library's connection, and when bytes came in: a large frame may take minutes."""

    heard_at = 0.0

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.loop.time()
        super().data_received(data)


class _AsyncioSocket(Socket):
    def __init__(self, connection: _Connection, max_size: int) -> None:
        self._connection = connection
        self._max_size = max_size

    @property
    def heard_at(self) -> float:
        return self._connection.heard_at

    async def send(self, data: bytes) -> None:
        try:
            await self._connection.send(data, text=True)
            return
        except (ConnectionClosed, OSError) as error:
            why = lost(error, self._max_size)
        raise why

    async def receive(self) -> bytes:
        try:
            return await self._connection.recv(decode=False)
        except (ConnectionClosed, OSError) as error:
            why = lost(error, self._max_size)
        raise why

    def unsent_bytes(self) -> int:
        return self._connection.transport.get_write_buffer_size()

    async def close(self) -> None:
        with anyio.move_on_after(CLOSE_TIMEOUT):
            await self._connection.close()


@asynccontextmanager
async def open_asyncio_socket(endpoint: Endpoint) -> AsyncIterator[Socket]:
    """See `runware_ws.transport.open_socket`."""
    try:
        connection = await connect(
            endpoint.url, create_connection=_Connection, **connect_options(endpoint)
        )
    except (OSError, InvalidHandshake, InvalidURI, EOFError) as error:
        why = lost(error, endpoint.max_size)
    else:
        connection = cast(_Connection, connection)
        tune(connection.transport.get_extra_info("socket"))
        try:
            yield _AsyncioSocket(connection, endpoint.max_size)
        finally:
            connection.transport.abort()
        return
    raise why
