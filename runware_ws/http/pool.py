"""HTTP connections that are kept for the next request.

httpcore's own pool checks all connections several times for each request. With 32 connections, that
takes nine tenths of the time of a small download. So httpcore's connections are used without its
pool. The most recently used connection is used next, and the others expire.
"""

from __future__ import annotations

import ssl
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import cast

import anyio
import httpcore
import httpx

from .links import LinkRules
from .network import Network
from .response import READ_TIMEOUT, Response, TransferError

_KEEP = 30.0  # seconds for which an idle connection is kept
_TRANSIENT = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ConnectionNotAvailable,
    OSError,
)


@dataclass(slots=True)
class _Server:
    """The connections to one scheme, host and port."""

    origin: httpcore.Origin
    has_known_version: bool  # of HTTP
    connections: set[httpcore.AsyncHTTPConnection] = field(default_factory=set)
    idle: list[httpcore.AsyncHTTPConnection] = field(default_factory=list)
    shared: httpcore.AsyncHTTPConnection | None = None  # of HTTP/2, for many requests at once
    version_lock: anyio.Lock = field(default_factory=anyio.Lock)


class Pool:
    """Makes requests over kept connections, one for each request in flight.

    HTTP/2 is offered if the package h2 is installed, unless TLS settings are given, because the
    offer would change them.

    Args:
        rules: the rules for hosts and addresses.
        connect_timeout: seconds to open a connection.
        tls: the TLS settings; None for the default.
    """

    def __init__(
        self, rules: LinkRules, connect_timeout: float, tls: ssl.SSLContext | None = None
    ) -> None:
        self._network = Network(rules)
        self._timeout = {"connect": connect_timeout, "read": READ_TIMEOUT, "write": READ_TIMEOUT}
        self._given_tls = tls
        self._http2 = tls is None and find_spec("h2") is not None
        self._servers: dict[tuple[bytes, bytes, int | None], _Server] = {}

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Return the TLS settings. They are cached, as making them takes longer than a download."""
        return self._given_tls or ssl.create_default_context()

    @asynccontextmanager
    async def get(self, url: httpx.URL, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        """Request a URL; see `Requester.get`."""
        request = self._request(url, headers)
        server = self._server(request.url)
        with _errors_mapped():
            connection, answer = await self._send(server, request)
        chunks = _chunks(answer)
        try:
            yield Response(answer.status, _readable(answer.headers), chunks)
        finally:
            with anyio.CancelScope(shield=True):
                await answer.aclose()
                if connection.is_closed():
                    await _exhaust(chunks)
                await chunks.aclose()
                await self._keep(server, connection)

    async def aclose(self) -> None:
        """Close all connections, including those in use."""
        servers, self._servers = list(self._servers.values()), {}
        for server in servers:
            for connection in server.connections:
                await connection.aclose()

    def _request(self, url: httpx.URL, headers: Mapping[str, str]) -> httpcore.Request:
        where = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        every = [("Host", url.netloc.decode("ascii")), *headers.items()]
        return httpcore.Request("GET", where, headers=every, extensions={"timeout": self._timeout})

    def _server(self, url: httpcore.URL) -> _Server:
        key = (url.scheme, url.host, url.port)
        if key not in self._servers:
            may_be_http2 = self._http2 and url.scheme == b"https"
            self._servers[key] = _Server(url.origin, has_known_version=not may_be_http2)
        return self._servers[key]

    async def _send(
        self, server: _Server, request: httpcore.Request
    ) -> tuple[httpcore.AsyncHTTPConnection, httpcore.Response]:
        if not server.has_known_version:
            # Otherwise each request would open a connection before the version is known.
            async with server.version_lock:
                if not server.has_known_version:
                    return await self._send_now(server, request)
        return await self._send_now(server, request)

    async def _send_now(
        self, server: _Server, request: httpcore.Request
    ) -> tuple[httpcore.AsyncHTTPConnection, httpcore.Response]:
        connection = await self._take(server)
        answer = await connection.handle_async_request(request)
        server.has_known_version = True
        if answer.extensions["http_version"] == b"HTTP/2":
            server.shared = connection
        return connection, answer

    async def _take(self, server: _Server) -> httpcore.AsyncHTTPConnection:
        """Return a kept connection that can take a request, or a new one."""
        if server.shared is not None:
            if server.shared.is_available() and not server.shared.has_expired():
                return server.shared
            retired, server.shared = server.shared, None
            if retired.is_idle():  # or else those who use it keep it
                await retired.aclose()
        while server.idle:
            connection = server.idle.pop()
            if not connection.has_expired():
                return connection
            await connection.aclose()
        server.connections = {one for one in server.connections if not one.is_closed()}
        connection = httpcore.AsyncHTTPConnection(
            server.origin,
            ssl_context=self._tls if server.origin.scheme == b"https" else None,
            keepalive_expiry=_KEEP,
            http2=self._http2,
            network_backend=self._network,
        )
        server.connections.add(connection)
        return connection

    async def _keep(self, server: _Server, connection: httpcore.AsyncHTTPConnection) -> None:
        """Keep a connection for the next request, if it can take one."""
        if connection is server.shared:
            return
        if connection.is_idle() and connection not in server.idle:
            server.idle.append(connection)
        while server.idle and server.idle[0].has_expired():
            await server.idle.pop(0).aclose()


async def _chunks(answer: httpcore.Response) -> AsyncGenerator[bytes, None]:
    stream = cast("AsyncIterable[bytes]", answer.stream)
    with _errors_mapped():
        async with aclosing(cast("AsyncGenerator[bytes, None]", aiter(stream))) as chunks:
            async for chunk in chunks:
                yield chunk


async def _exhaust(chunks: AsyncGenerator[bytes, None]) -> None:
    """Run httpcore's generators to their end after a body was left early.

    Trio warns of generators that are left to the garbage collector. The connection is closed, so
    they end after the data that they hold already.
    """
    with suppress(TransferError):
        async for _ in chunks:
            pass


@contextmanager
def _errors_mapped() -> Iterator[None]:
    try:
        yield
    except _TRANSIENT as error:
        raise TransferError(f"{type(error).__name__}: {error}") from error


def _readable(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
