"""The WebSocket on trio."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import trio
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.frames import Frame
from websockets.protocol import Event
from websockets.protocol import Protocol as Wire
from websockets.trio.client import ClientConnection, connect

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

__all__ = ["open_trio_socket"]

# Large frames are handed over in pieces, so that their progress can be seen.
_PIECE_BYTES = 64 * 1024
# As much as asyncio reads at once, four times what trio would by itself (but not over TLS).
_READ_BYTES = 256 * 1024


class _WatchedStream(trio.abc.HalfCloseableStream):
    """A stream that notes when bytes came in and how many still have to go out.

    The library asks it for more when it has dealt with what there was: then the inbox is flushed.
    What the library sends while a frame is being written goes out behind that: the library does not
    read while it waits.
    """

    def __init__(self, stream: trio.abc.Stream, inbox: Inbox, wire: Wire) -> None:
        self.inner = stream
        self.heard_at = 0.0
        self.unsent_bytes = 0
        self._inbox = inbox
        self._wire = wire
        self._writing = trio.Lock()
        self._behind: deque[bytes | bytearray | memoryview] = deque()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        self._inbox.flush()
        if is_over(self._wire):
            return b""
        data = await self.inner.receive_some(max_bytes or _READ_BYTES)
        self.heard_at = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """For the library."""
        if self._writing.locked():
            self._behind.append(data)
            return
        # Who says goodbye may not read any more.
        with trio.move_on_after(CLOSE_TIMEOUT if is_over(self._wire) else math.inf):
            await self.write(data)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send it, when it is its turn."""
        async with self._writing:
            await self._write_pieces(data)
            while self._behind:
                await self._write_pieces(self._behind.popleft())

    async def _write_pieces(self, data: bytes | bytearray | memoryview) -> None:
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
    """The library's connection, over a watched stream.

    What is received goes to the inbox at once, past the library's queue and its reader's task.
    """

    def __init__(
        self, nursery: trio.Nursery, stream: trio.abc.Stream, wire: Any, **options: Any
    ) -> None:
        self.inbox = Inbox()
        self.watched = _WatchedStream(stream, self.inbox, wire)
        super().__init__(nursery, self.watched, wire, **options)

    def process_event(self, event: Event) -> None:
        if holds_data(event):
            self.inbox.put(cast(Frame, event))
        else:
            super().process_event(event)


class _TrioSocket(Socket):
    def __init__(self, connection: _Connection, max_size: int) -> None:
        self._connection = connection
        self._max_size = max_size
        self._awake = trio.Event()

    @property
    def heard_at(self) -> float:
        return self._connection.watched.heard_at

    async def run(self, peer: Peer) -> DisconnectedError:
        self._connection.inbox.deliver_to(peer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, peer)
            why = await self._end()
            nursery.cancel_scope.cancel()
        return why

    async def _end(self) -> DisconnectedError:
        try:
            while True:
                await self._connection.recv()  # no frame gets there: it waits for the end
        except (ConnectionClosed, OSError, trio.BrokenResourceError) as error:
            return lost(error, self._max_size)

    async def _write(self, peer: Peer) -> None:
        try:
            while is_writable(self._connection.protocol):
                data = peer.next_frame()
                if data is None:
                    self.is_awake = False
                    self._awake = trio.Event()
                    await self._awake.wait()
                else:
                    await self._connection.watched.write(text_frame(data))
                    peer.written()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.sleep(CLOSE_TIMEOUT)  # until whoever reads has seen why, or there is nothing
            await trio.aclose_forcefully(self._connection.watched)

    def wake(self, *, at_once: bool) -> None:
        self.is_awake = True
        self._awake.set()

    def unsent_bytes(self) -> int:
        return self._connection.watched.unsent_bytes

    async def close(self) -> None:
        with trio.move_on_after(CLOSE_TIMEOUT):
            await self._connection.aclose()


class _Connect(connect):
    """The library's way to connect, but for redirects: the key goes where it was told to go."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


@asynccontextmanager
async def open_trio_socket(endpoint: Endpoint) -> AsyncIterator[Socket]:
    """See `runware_ws.transport.open_socket`."""
    opened = False
    try:
        async with _Connect(
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
    except (
        ConnectionClosed,
        OSError,
        InvalidHandshake,
        InvalidURI,
        EOFError,
        trio.BrokenResourceError,
    ) as error:
        if opened:
            raise
        why = lost(error, endpoint.max_size)
    raise why


def _raw_socket(watched: _WatchedStream) -> Any:
    stream: Any = watched.inner
    return (stream.transport_stream if isinstance(stream, trio.SSLStream) else stream).socket
