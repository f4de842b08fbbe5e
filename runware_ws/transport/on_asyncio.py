"""The WebSocket on asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import anyio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.frames import Frame
from websockets.protocol import Event

from ..settings import Endpoint
from .base import (
    CLOSE_TIMEOUT,
    DisconnectedError,
    Inbox,
    Peer,
    Socket,
    connect_options,
    holds_data,
    is_over,
    is_writable,
    lost,
    text_frame,
    tune,
)

__all__ = ["open_asyncio_socket"]


class _Connection(ClientConnection):
    """The library's connection, with our own ways in and out.

    What is received goes to the inbox at once, past the library's queue and its reader's task.
    What is sent goes to the transport at once.
    """

    heard_at = 0.0

    def __init__(self, *args: Any, **options: Any) -> None:
        self.inbox = Inbox()
        self.resumed: Callable[[], None] | None = None
        super().__init__(*args, **options)

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.loop.time()  # a large frame may take minutes
        super().data_received(data)
        self.inbox.flush()
        if is_over(self.protocol):
            self.cut()

    def eof_received(self) -> None:
        super().eof_received()
        self.cut()  # or the rest of an upload would still go out first, to nobody

    def process_event(self, event: Event) -> None:
        if holds_data(event):
            self.inbox.put(cast(Frame, event))
        else:
            super().process_event(event)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.resumed is not None:
            self.resumed()

    def cut(self) -> None:
        """End it without a goodbye."""
        with suppress(AttributeError):  # asyncio's own, of a transport that just ended by itself
            self.transport.abort()

    @property
    def is_writable(self) -> bool:
        """Whether a frame may be sent: not after a close frame, nor on a dead line."""
        return is_writable(self.protocol) and not self.transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send a text frame, while the connection is writable."""
        frame = memoryview(text_frame(data))  # whose rest is no copy, if the system is full
        self.transport.write(frame)


class _AsyncioSocket(Socket):
    def __init__(self, connection: _Connection, max_size: int) -> None:
        self._connection = connection
        self._max_size = max_size
        self._peer: Peer | None = None

    @property
    def heard_at(self) -> float:
        return self._connection.heard_at

    async def run(self, peer: Peer) -> DisconnectedError:
        self._peer = peer
        self._connection.resumed = self._resumed
        self._connection.inbox.deliver_to(peer)
        try:
            while True:
                await self._connection.recv()  # no frame gets there: it waits for the end
        except (ConnectionClosed, OSError) as error:
            return lost(error, self._max_size)

    def wake(self, *, at_once: bool) -> None:
        self.is_awake = True
        if at_once:
            self._pump()
        else:
            self._connection.loop.call_soon(self._pump)  # by then, all that will wait does

    def _pump(self) -> None:
        connection, peer = self._connection, self._peer
        while peer is not None and connection.is_writable:
            if connection.paused:
                return  # asleep no sooner than `_resumed`
            data = peer.next_frame()
            if data is None:
                break
            connection.write(data)
            if not connection.paused:
                peer.written()
        self.is_awake = False

    def _resumed(self) -> None:
        if self.is_awake and self._peer is not None:
            self._peer.written()
            self._pump()

    def unsent_bytes(self) -> int:
        return self._connection.transport.get_write_buffer_size()

    async def close(self) -> None:
        with anyio.move_on_after(CLOSE_TIMEOUT), suppress(AttributeError):  # as in `cut`
            await self._connection.close()


class _Connect(connect):
    """The library's way to connect, but for redirects: the key goes where it was told to go."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


@asynccontextmanager
async def open_asyncio_socket(endpoint: Endpoint) -> AsyncIterator[Socket]:
    """See `runware_ws.transport.open_socket`."""
    try:
        connection = await _Connect(
            endpoint.url, create_connection=_Connection, **connect_options(endpoint)
        )
    except (ConnectionClosed, OSError, InvalidHandshake, InvalidURI, EOFError) as error:
        why = lost(error, endpoint.max_size)
    else:
        connection = cast(_Connection, connection)
        tune(connection.transport.get_extra_info("socket"))
        try:
            yield _AsyncioSocket(connection, endpoint.max_size)
        finally:
            connection.cut()
        return
    raise why
