"""A raw connection, which sends tasks and returns frames as they are."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import anyio

from ..errors import ProtocolError
from ..protocol.secret import Secret
from ..protocol.wire import ErrorItem, Item, decode, encode_tasks
from ..transport import DisconnectedError, Receiver, Stream, Target, WebSocket, open_stream

_MAX_SIZE = 512 * 1024 * 1024
_HANDSHAKE_TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame of the service.

    Attributes:
        items, errors: its content.
        size: its length in bytes.
        at: the time at which it arrived.
    """

    items: list[Item] = field(repr=False)
    errors: list[ErrorItem] = field(repr=False)
    size: int
    at: float


class RawConnection(Receiver):
    """An open connection with one task in flight at a time.

    Attributes:
        url: URL of the service.
        ended: the reason why the connection has ended; None while it is open.
    """

    def __init__(self, url: str, key: Secret) -> None:
        self.url = url
        self.ended: DisconnectedError | None = None
        self._key = key
        self._websocket = WebSocket(url, _MAX_SIZE)
        self._stream: Stream | None = None
        self._messages: deque[tuple[bytes | bytearray | memoryview, float]] = deque()
        self._changed: anyio.Event | None = None  # it is made where it is awaited
        self._failure: Exception | None = None

    # Called by the stream.

    def data_received(self, data: bytes | bytearray | memoryview) -> None:
        try:
            messages = self._websocket.receive(data)
        except Exception as error:  # noqa: BLE001  # `receive` raises it, where it is handled
            self._failure = error
            messages = []
        now = monotonic()
        self._messages.extend((one, now) for one in messages)
        if self._stream is not None:
            if replies := self._websocket.replies():
                self._stream.write(replies)
            if self._websocket.is_over or self._failure is not None:
                self._stream.abort()
        self._wake()

    def write_ready(self) -> None:
        self._wake()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()

    # Sending and receiving.

    async def send(self, *tasks: Mapping[str, Any]) -> float:
        """Write tasks as one frame, and wait until it is sent.

        Return the time before its last part was written, so that durations counted from then are
        not too short.

        Raises:
            DisconnectedError: the connection has ended.
        """
        return await self.send_bytes(encode_tasks(tasks))

    async def send_bytes(self, frame: bytes) -> float:
        """Write an encoded frame; see `send`."""
        stream = self._open_stream()
        before = monotonic()
        for piece in self._websocket.large_message(frame):
            while not stream.can_write:
                await self._wait_for_change()
            before = monotonic()
            stream.write(piece)
        while stream.unsent_bytes:  # on asyncio there is no event when all bytes are sent
            with anyio.move_on_after(0.01):
                await self._wait_for_change()
        return before

    async def receive(self, timeout: float = math.inf) -> RawFrame | None:
        """Return the next frame, or None if no frame comes in time.

        Raises:
            DisconnectedError: the connection has ended, and all its frames were returned.
            ProtocolError: a frame cannot be read.
        """
        with anyio.move_on_after(timeout):
            while not self._messages:
                await self._wait_for_change()
            message, at = self._messages.popleft()
            items, errors = decode(message, self._key)
            return RawFrame(items, errors, len(message), at)
        return None

    async def _wait_for_change(self) -> None:
        self._open_stream()
        self._changed = anyio.Event()
        await self._changed.wait()

    def _open_stream(self) -> Stream:
        if self._failure is not None:
            raise ProtocolError(f"{type(self._failure).__name__}: {self._failure}")
        if self.ended is not None:
            raise self.ended
        if self._stream is None:
            raise DisconnectedError("not connected")
        return self._stream

    # Opening and ending.

    async def open(self, stream: Stream) -> None:
        """Open the WebSocket over a stream."""
        self._stream = stream
        stream.write(self._websocket.handshake())
        with anyio.fail_after(_HANDSHAKE_TIMEOUT):
            while not self._websocket.is_open and not self._messages:
                await self._wait_for_change()

    async def run(self, stream: Stream) -> None:
        """Exchange bytes until the connection ends."""
        self.ended = self._websocket.why_ended(await stream.run())
        self._wake()

    def cut(self) -> None:
        """End the connection at once, without a close frame."""
        if self._stream is not None:
            self._stream.abort()

    def close(self) -> None:
        """Send a close frame, if the connection is open."""
        if self._stream is not None and self.ended is None and (last := self._websocket.goodbye()):
            self._stream.write(last)


@asynccontextmanager
async def open_raw(target: Target, key: Secret) -> AsyncIterator[RawConnection]:
    """Open a connection for the duration of an ``async with`` block.

    Raises:
        OSError: the service cannot be reached.
        DisconnectedError: it refused the connection.
        TimeoutError: it did not answer the handshake.
    """
    connection = RawConnection(target.url, key)
    failure: Exception | None = None
    async with open_stream(target, connection) as stream, anyio.create_task_group() as group:
        group.start_soon(connection.run, stream)
        try:
            await connection.open(stream)
            yield connection
        except Exception as error:  # noqa: BLE001  # raised below, where no group wraps it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
