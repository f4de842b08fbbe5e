"""Byte streams on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from .addresses import connect_to
from .base import Pace, Receiver, Stream, Target, limit_unsent_bytes
from .fork import guard
from .proxy import (
    ProxyError,
    check_tunnel_response,
    connect_socks,
    is_socks,
    parse_proxy,
    tunnel_request,
)


class AsyncioStream(asyncio.BufferedProtocol, Stream):
    """A stream that reads into one permanent buffer.

    With asyncio's other kind of protocol, the C library would get a new buffer of 256 KiB from the
    system for each read, and return it.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._buffer = memoryview(bytearray(Pace.MAX_BYTES))
        self._pace = Pace()
        self._is_paused = False
        self._closed: asyncio.Future[BaseException | None] = self._loop.create_future()

    # As a protocol of asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer[: self._pace.read_bytes]

    def buffer_updated(self, nbytes: int) -> None:
        self._pace.hand_over(self._buffer[:nbytes], self.receiver)

    def eof_received(self) -> None:
        self.abort()  # or the rest of an upload would still be sent

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed.done():
            self._closed.set_result(exc)

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self.receiver.write_ready()

    # As a stream.

    @property
    def can_write(self) -> bool:
        return not self._is_paused and not self.transport.is_closing()

    @property
    def unsent_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        self.transport.write(memoryview(data))  # of a view, the unsent rest is no copy

    def call_write_ready(self) -> None:
        self._loop.call_soon(self.receiver.write_ready)

    def when_closed(self, callback: Callable[[object], None]) -> None:
        """Call `callback` once the stream has ended."""
        self._closed.add_done_callback(callback)

    async def run(self) -> BaseException | None:
        return await asyncio.shield(self._closed)

    def abort(self) -> None:
        self.transport.abort()

    def descriptor(self) -> int:
        is_over = self._closed.done()
        return -1 if is_over else int(self.transport.get_extra_info("socket").fileno())


class _TunnelReceiver(Receiver):
    """Collects the answer of an HTTP proxy."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = b""

    def data_received(self, data: bytes | bytearray | memoryview) -> None:
        self._head += data
        try:
            if check_tunnel_response(self._head) and not self.answered.done():
                self.answered.set_result(None)
        except ProxyError as error:
            if not self.answered.done():
                self.answered.set_exception(error)

    def write_ready(self) -> None:
        pass

    def closed(self, _: object) -> None:
        if not self.answered.done():
            self.answered.set_exception(ProxyError("the proxy closed the connection"))


@asynccontextmanager
async def open_asyncio_stream(target: Target, receiver: Receiver) -> AsyncIterator[Stream]:
    """Open a stream; see `runware_ws.transport.open_stream`."""
    stream = await _connect(target, receiver)
    limit_unsent_bytes(stream.transport.get_extra_info("socket"))
    guard(stream)
    try:
        yield stream
    finally:
        stream.abort()


async def _connect(target: Target, receiver: Receiver) -> AsyncioStream:
    url = target.proxy()
    if url is None:
        return await _create_at(target.host, target.port, receiver, _tls(target))
    proxy = parse_proxy(url)
    if is_socks(proxy):
        raw = await connect_socks(url, "asyncio", target.host, target.port)
        return await _create(receiver, _tls(target), sock=raw)
    return await _connect_through(proxy, target, receiver)


def _tls(target: Target) -> dict[str, Any]:
    return {"ssl": target.tls, "server_hostname": target.host} if target.tls else {}


async def _create_at(
    host: str, port: int, receiver: Receiver, tls: dict[str, Any]
) -> AsyncioStream:
    return await connect_to(
        host, port, lambda address: _create(receiver, tls, host=address, port=port)
    )


async def _create(receiver: Receiver, tls: dict[str, Any], **where: Any) -> AsyncioStream:
    loop = asyncio.get_running_loop()
    _, stream = await loop.create_connection(lambda: AsyncioStream(receiver), **where, **tls)
    return stream


async def _connect_through(proxy: Any, target: Target, receiver: Receiver) -> AsyncioStream:
    """Connect through an HTTP proxy: ask it for a connection, then speak to the server."""
    tunnel = _TunnelReceiver()
    tls = {"ssl": True, "server_hostname": proxy.hostname} if proxy.scheme == "https" else {}
    port = proxy.port or (443 if tls else 80)
    stream = await _create_at(proxy.hostname, port, tunnel, tls)
    try:
        stream.write(tunnel_request(proxy, target.host, target.port))
        stream.when_closed(tunnel.closed)
        await tunnel.answered
        stream.receiver = receiver
        if target.tls is not None:
            loop = asyncio.get_running_loop()
            transport = await loop.start_tls(
                stream.transport, stream, target.tls, server_hostname=target.host
            )
            stream.transport = cast(asyncio.Transport, transport)
    except BaseException:
        stream.abort()
        raise
    return stream
