"""Byte streams on trio."""

from __future__ import annotations

import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from .addresses import connect_to
from .base import CLOSE_TIMEOUT, Pace, Receiver, Stream, Target, limit_unsent_bytes
from .fork import guard
from .proxy import (
    ProxyError,
    check_tunnel_response,
    connect_socks,
    is_socks,
    parse_proxy,
    tunnel_request,
)

_BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class TrioStream(Stream):
    """A stream with one task that reads and one that writes."""

    def __init__(self, stream: trio.abc.Stream, receiver: Receiver) -> None:
        self._stream = stream
        self._receiver = receiver
        self._pending: deque[bytes] = deque()
        self._has_work = trio.Event()
        self._wants_call = False
        self._is_over = False
        self._unsent_bytes = 0
        self._error: BaseException | None = None
        self._scope = trio.CancelScope()
        self._pace = Pace()

    @property
    def can_write(self) -> bool:
        return not self._unsent_bytes and not self._is_over

    @property
    def unsent_bytes(self) -> int:
        return self._unsent_bytes

    def write(self, data: bytes) -> None:
        self._pending.append(data)
        self._unsent_bytes += len(data)
        self._has_work.set()

    def call_write_ready(self) -> None:
        self._wants_call = True
        self._has_work.set()

    async def run(self) -> BaseException | None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write_all)
                await self._read_all()
                nursery.cancel_scope.cancel()
        return self._error

    def abort(self) -> None:
        self._is_over = True
        self._scope.cancel()

    def descriptor(self) -> int:
        return int(_raw_socket(self._stream).fileno())

    async def _read_all(self) -> None:
        try:
            while data := await self._stream.receive_some(self._pace.read_bytes):
                self._pace.hand_over(data, self._receiver)
                del data  # which may quote the key, from what a traceback shows
        except _BROKEN as error:
            self._error = self._error or error.__cause__ or error

    @trio.lowlevel.enable_ki_protection  # it is a task of its own: see `Background`
    async def _write_all(self) -> None:
        try:
            while not self._is_over:
                await self._has_work.wait()
                self._has_work = trio.Event()
                await self._write_pending()
                if self._wants_call or self.can_write:
                    self._wants_call = False
                    self._receiver.write_ready()
        except _BROKEN as error:
            self._error = error.__cause__ or error
            # The server may have said why, before it closed: leave the reader time to see it.
            await trio.sleep(CLOSE_TIMEOUT)
            self.abort()

    async def _write_pending(self) -> None:
        while self._pending:
            data = self._pending.popleft()
            await self._stream.send_all(data)
            self._unsent_bytes -= len(data)


@asynccontextmanager
async def open_trio_stream(target: Target, receiver: Receiver) -> AsyncIterator[Stream]:
    """Open a stream; see `runware_ws.transport.open_stream`."""
    try:
        stream = await _connect(target)
    except trio.BrokenResourceError as error:  # of a TLS handshake
        raise error.__cause__ or OSError(str(error)) from None
    limit_unsent_bytes(_raw_socket(stream))
    wrapped = TrioStream(stream, receiver)
    guard(wrapped)
    try:
        yield wrapped
    finally:
        wrapped.abort()
        await trio.aclose_forcefully(stream)


async def _open_tcp(host: str, port: int) -> trio.SocketStream:
    async def connect(address: str) -> trio.SocketStream:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        raw = trio.socket.socket(family, socket.SOCK_STREAM)
        try:
            await raw.connect((address, port))
        except BaseException:
            raw.close()
            raise
        return trio.SocketStream(raw)

    return await connect_to(host, port, connect)


async def _connect(target: Target) -> trio.abc.Stream:
    url = target.proxy()
    if url is None:
        stream: trio.abc.Stream = await _open_tcp(target.host, target.port)
    else:
        proxy = parse_proxy(url)
        if is_socks(proxy):
            stream = trio.SocketStream(await connect_socks(url, "trio", target.host, target.port))
        else:
            stream = await _connect_through(proxy, target)
    return await _with_tls(stream, target.tls, target.host)


async def _with_tls(stream: trio.abc.Stream, tls: Any, host: str) -> trio.abc.Stream:
    if tls is None:
        return stream
    secure = trio.SSLStream(stream, tls, server_hostname=host, https_compatible=True)
    try:
        await secure.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(secure)
        raise
    return secure


async def _connect_through(proxy: Any, target: Target) -> trio.abc.Stream:
    """Ask an HTTP proxy for a connection to the server."""
    is_secure = proxy.scheme == "https"
    port = proxy.port or (443 if is_secure else 80)
    stream: trio.abc.Stream = await _open_tcp(proxy.hostname, port)
    if is_secure:
        stream = await _with_tls(stream, ssl.create_default_context(), proxy.hostname)
    try:
        await stream.send_all(tunnel_request(proxy, target.host, target.port))
        head = b""
        while not check_tunnel_response(head):
            data = await stream.receive_some(4096)
            if not data:
                raise ProxyError("the proxy closed the connection")
            head += data
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


def _raw_socket(stream: trio.abc.Stream) -> Any:
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    return stream.socket  # type: ignore[attr-defined]  # it is a SocketStream, below any TLS
