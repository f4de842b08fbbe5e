"""A TCP relay between clients and a server that can be cut, silenced and slowed down."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import anyio
from anyio.abc import TaskGroup

from ...errors import InputError
from ..server.background import BackgroundServer, reset
from .directions import CHUNK_BYTES, LinkConditions, RelayDirection

Direction: TypeAlias = Literal["up", "down", "both"]
_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}
_GOODBYE_TIMEOUT = 2.0  # seconds for both ends to close after a clean cut


class Relay(BackgroundServer):
    """Relays TCP connections to a server, and simulates problems of a network.

        async with Emulator() as emulator, Relay(emulator.url) as relay:
            client = RunwareClient(api_key=emulator.api_key, url=relay.url)
            ...
            relay.silence()          # half-open: neither end notices
            relay.cut(reset=True)

    It runs in a background thread, so it can be used from any event loop, or none. Its methods may
    be called at any time and from any thread. They take effect before they return. Conditions apply
    to existing and new connections, until `resume`. The direction ``up`` is from the client to the
    server.

    Args:
        target_url: the server: ``ws://…``, ``http://…``, or with TLS, which is forwarded as it is.
        host: the address to listen on.
        port: the port to listen on; 0 for a free one.
        seed: the seed for random sizes of pieces; see `split`.

    Attributes:
        connections: the number of connections accepted so far.

    Raises:
        InputError: `target_url` is not such a URL.
    """

    def __init__(
        self, target_url: str, *, host: str = "127.0.0.1", port: int = 0, seed: int = 0
    ) -> None:
        super().__init__(host, port)
        self._target = urlsplit(target_url)
        if self._target.scheme not in _PORTS or not self._target.hostname:
            raise InputError(
                "target_url", f"{target_url!r} is not a server", "pass a URL such as ws://…"
            )
        self._up, self._down = (
            RelayDirection(random.Random(f"{seed}/{name}"))  # noqa: S311 - no secret
            for name in ("up", "down")
        )
        self._is_refusing = False
        self._open: set[_RelayedConnection] = set()
        self._tasks: TaskGroup
        self.connections = 0

    @property
    def url(self) -> str:
        """The URL of the target with the relay's address. The port is known after `start`."""
        return urlunsplit(self._target._replace(netloc=self._authority))

    @property
    def open_connections(self) -> int:
        """The number of open connections."""
        return len(self._open)

    @property
    def bytes_up(self) -> int:
        """The number of bytes that were forwarded to the server."""
        return self._up.passed_bytes

    @property
    def bytes_down(self) -> int:
        """The number of bytes that were forwarded to clients."""
        return self._down.passed_bytes

    @property
    def bytes_swallowed(self) -> int:
        """The number of bytes that were dropped, in both directions."""
        return self._up.swallowed_bytes + self._down.swallowed_bytes

    def __repr__(self) -> str:
        return f"<Relay {self.url} {self._state}, {self.open_connections} open>"

    def cut(self, *, reset: bool = False) -> None:
        """End all connections at both ends. New connections are accepted.

        Args:
            reset: end them with RST, which may overtake bytes that were sent before. Otherwise
                end them with FIN, but never with a WebSocket close frame.
        """
        self._call(lambda: self._cut(is_reset=reset))

    def refuse(self) -> None:
        """Reset each new connection, until `resume`."""
        self._is_refusing = True

    def silence(self, direction: Direction = "both", *, swallow: bool = False) -> None:
        """Forward nothing while TCP stays open, so that connections are half-open.

        Args:
            direction: the direction to silence.
            swallow: drop the bytes. The stream then has a gap, and is not usable after `resume`.
                Otherwise up to some MiB are held, and arrive after `resume`. The ends of
                connections are always held.
        """
        self._change(direction, silence="swallow" if swallow else "hold")

    def delay(self, seconds: float, direction: Direction = "both") -> None:
        """Delay each byte by `seconds`, in order."""
        if not 0 <= seconds < float("inf"):
            raise InputError("seconds", f"{seconds} is out of range", "pass 0 or more")
        self._change(direction, delay=seconds)

    def throttle(self, bytes_per_second: float, direction: Direction = "both") -> None:
        """Limit the bandwidth of each connection."""
        if not 0 < bytes_per_second < float("inf"):
            problem = f"{bytes_per_second} is out of range"
            raise InputError("bytes_per_second", problem, "pass more than 0, or call resume()")
        self._change(direction, rate=bytes_per_second)

    def split(self, max_bytes: int = 1, direction: Direction = "both") -> None:
        """Forward bytes in pieces of 1 to `max_bytes`. A slow receiver may see several at once."""
        if max_bytes < 1:
            raise InputError("max_bytes", f"{max_bytes} is out of range", "pass 1 or more")
        self._change(direction, piece_bytes=max_bytes)

    def resume(self, direction: Direction = "both") -> None:
        """Forward bytes normally again. Bytes that were held or delayed arrive at once."""
        self._is_refusing = False
        self._change(direction, **asdict(LinkConditions()))

    def _chosen(self, direction: Direction) -> Iterable[RelayDirection]:
        chosen = {"up": (self._up,), "down": (self._down,), "both": (self._up, self._down)}
        if direction not in chosen:
            raise InputError(
                "direction", f"{direction!r} is not a direction", "pass 'up', 'down' or 'both'"
            )
        return chosen[direction]

    def _change(self, direction: Direction, **conditions: Any) -> None:
        def change() -> None:
            for one in chosen:
                one.change(replace(one.conditions, **conditions))

        chosen = self._chosen(direction)
        self._call(change)

    @asynccontextmanager
    async def _serving(self, listening: socket.socket) -> AsyncIterator[None]:
        for direction in (self._up, self._down):
            direction.change(direction.conditions)  # its event belonged to an earlier loop
        async with anyio.create_task_group() as self._tasks:
            server = await asyncio.start_server(self._accept, sock=listening, limit=CHUNK_BYTES)
            yield
            server.close()
            self._cut(is_reset=True)
            self._tasks.cancel_scope.cancel()
        await asyncio.sleep(0)  # so that `connection_lost` is called

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._is_refusing:
            reset(writer.transport)
            return
        connection = _RelayedConnection(reader, writer)
        self._open.add(connection)
        self._tasks.start_soon(self._serve, connection)

    async def _serve(self, connection: _RelayedConnection) -> None:
        port = self._target.port or _PORTS[self._target.scheme]
        try:
            await connection.run(str(self._target.hostname), port, self._up, self._down)
        finally:
            self._open.discard(connection)

    def _cut(self, *, is_reset: bool) -> None:
        connections, self._open = self._open, set()
        for connection in connections:
            connection.cut(is_reset=is_reset)


class _RelayedConnection:
    """One connection, from its client to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._readers = [reader]
        self._writers = [writer]
        self._scope = anyio.CancelScope()
        self._is_reset = False

    async def run(self, host: str, port: int, up: RelayDirection, down: RelayDirection) -> None:
        """Connect to the server, and forward bytes in both directions until both have ended."""
        try:
            with self._scope:
                reader, writer = await asyncio.open_connection(host, port, limit=CHUNK_BYTES)
                self._readers.append(reader)
                self._writers.append(writer)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(up.carry, self._readers[0], writer)
                    tasks.start_soon(down.carry, reader, self._writers[0])
            if self._scope.cancel_called and not self._is_reset:
                await self._say_goodbye()
        except OSError:
            reset(self._writers[0].transport)  # the server cannot be reached
        finally:
            for writer in self._writers:
                writer.transport.abort()

    def cut(self, *, is_reset: bool) -> None:
        """End the connection at both ends, with RST now or with FIN as soon as possible."""
        self._is_reset = is_reset
        for writer in self._writers if is_reset else ():
            reset(writer.transport)
        self._scope.cancel()

    async def _say_goodbye(self) -> None:
        """End both streams with FIN.

        Bytes that still arrive are read: the system resets a connection that is closed with
        unread bytes.
        """
        with anyio.move_on_after(_GOODBYE_TIMEOUT):
            for writer in self._writers:
                with contextlib.suppress(OSError):
                    writer.write_eof()
            for reader in self._readers:
                with contextlib.suppress(OSError):
                    while await reader.read(CHUNK_BYTES):
                        pass
