"""A line between a client and a server that can be cut, go silent, be slow, at any time."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import anyio
import anyio.to_thread

from ...errors import InputError
from .directions import CHUNK_BYTES, Streams, Way, Weather, carry, reset_connection, say_goodbye

__all__ = ["Direction", "Relay"]

Direction: TypeAlias = Literal["up", "down", "both"]
_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}


class Relay:
    """Passes TCP connections on to a server, and does to them what networks do.

        async with Emulator() as emulator, Relay(emulator.url) as relay:
            client = RunwareClient(api_key=emulator.api_key, url=relay.url)
            ...
            relay.silence()          # half-open: both ends believe in it still
            relay.cut(reset=True)

    It runs in a thread of its own, so it may be used from any event loop, or none; with ``with``,
    ``async with``, or `start` and `stop`. Its methods may be called at any time and from any
    thread, and have done their work when they return; what they set holds for the connections
    there are and for those to come, until `resume`. ``up`` is from the client to the server.

    Args:
        target_url: where to pass connections on to; ``ws://…``, ``http://…``, or with TLS, which
            is passed on as it is.
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        seed: for the sizes of pieces; see `split`.

    Raises:
        InputError: `target_url` is no such address.
        OSError: on start, when the port cannot be listened on.
    """

    def __init__(
        self, target_url: str, *, host: str = "127.0.0.1", port: int = 0, seed: int = 0
    ) -> None:
        self._target = urlsplit(target_url)
        if self._target.scheme not in _PORTS or not self._target.hostname:
            raise InputError("target_url", f"{target_url!r} is no server", "pass one as ws://…")
        self._address = (host, port)
        self._ways = {name: Way(random.Random(f"{seed}/{name}")) for name in ("up", "down")}  # noqa: S311
        self._refusing = False
        self._pairs: dict[asyncio.Task[None], list[Streams]] = {}
        self._farewells: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping: asyncio.Event | None = None
        self.connections = 0

    # Life

    def start(self) -> None:
        """Start, and return once connections are accepted; again after `stop`, on the same port."""
        if self._thread is not None:
            raise RuntimeError("the relay is running")
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        listening = socket.create_server(self._address, family=family, backlog=1024)
        self._address = (self._address[0], listening.getsockname()[1])
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(listening, ready), name="runware-relay", daemon=True
        )
        self._thread.start()
        try:
            ready.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            raise

    def stop(self) -> None:
        """Reset all connections, and stop. May be called again."""
        thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            thread.join()

    async def __aenter__(self) -> Self:
        await anyio.to_thread.run_sync(self.start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.stop)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # What there is to see

    @property
    def url(self) -> str:
        """The target's address with this relay in its place; the port is known after the start."""
        host, port = self._address
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return urlunsplit(self._target._replace(netloc=authority))

    @property
    def open_connections(self) -> int:
        """How many connections there are now. `connections` counts all that there were."""
        return len(self._pairs)

    @property
    def bytes_up(self) -> int:
        """How many bytes were passed on to the server."""
        return self._ways["up"].passed_bytes

    @property
    def bytes_down(self) -> int:
        """How many bytes were passed on to the client."""
        return self._ways["down"].passed_bytes

    @property
    def bytes_swallowed(self) -> int:
        """How many bytes were taken and not passed on, in both directions."""
        return sum(way.swallowed_bytes for way in self._ways.values())

    def __repr__(self) -> str:
        state = "running" if self._thread is not None else "stopped"
        return f"<Relay {self.url} {state}, {self.open_connections} open>"

    # What it can do

    def cut(self, *, reset: bool = False) -> None:
        """End all connections, at both ends; new ones are accepted.

        Args:
            reset: with a reset (RST), which may overtake what was sent before; otherwise with a
                clean end (FIN), but never with a WebSocket goodbye.
        """
        self._do(lambda: self._cut(reset=reset))

    def refuse(self) -> None:
        """Reset each new connection at once, until `resume`."""

        def refuse() -> None:
            self._refusing = True

        self._do(refuse)

    def silence(self, direction: Direction = "both", *, swallow: bool = False) -> None:
        """Let nothing through while TCP stays open: half-open, as both ends see it.

        Args:
            direction: the one that falls silent.
            swallow: take the bytes and forget them. The stream is torn then: after `resume` it
                makes no sense any more. Otherwise they are held, some MiB at most, and come
                after `resume`. Ends of connections are always held.
        """
        self._change(direction, silence="swallow" if swallow else "hold")

    def delay(self, seconds: float, direction: Direction = "both") -> None:
        """Let each byte take so long, in order."""
        if not 0 <= seconds < float("inf"):
            raise InputError("seconds", f"{seconds} is out of range", "pass 0 or more")
        self._change(direction, delay=seconds)

    def throttle(self, bytes_per_second: float, direction: Direction = "both") -> None:
        """Let so many bytes through, on each connection."""
        if not 0 < bytes_per_second < float("inf"):
            problem = f"{bytes_per_second} is out of range"
            raise InputError("bytes_per_second", problem, "pass more than 0, or call resume()")
        self._change(direction, rate=bytes_per_second)

    def split(self, max_bytes: int = 1, direction: Direction = "both") -> None:
        """Send bytes on in pieces of 1 to `max_bytes`; the receiver may still see several at
        once, if it is slower."""
        if max_bytes < 1:
            raise InputError("max_bytes", f"{max_bytes} is out of range", "pass 1 or more")
        self._change(direction, piece_bytes=max_bytes)

    def resume(self, direction: Direction = "both") -> None:
        """Be an ordinary line again. What was held or delayed comes at once."""

        def resume() -> None:
            self._refusing = False
            for way in self._chosen(direction):
                way.change(Weather())

        self._do(resume)

    # Inside

    def _chosen(self, direction: Direction) -> Iterable[Way]:
        if direction == "both":
            return self._ways.values()
        if direction not in self._ways:
            raise InputError("direction", f"{direction!r} is none", "pass 'up', 'down' or 'both'")
        return (self._ways[direction],)

    def _change(self, direction: Direction, **members: Any) -> None:
        ways = self._chosen(direction)

        def change() -> None:
            for way in ways:
                way.change(replace(way.weather, **members))

        self._do(change)

    def _do(self, action: Callable[[], None]) -> None:
        """Do it on the relay's own thread, and wait for it; at once if it does not run."""
        if self._thread is None or self._loop is None:
            action()
            return
        done: Future[None] = Future()

        def act() -> None:
            action()
            done.set_result(None)

        self._loop.call_soon_threadsafe(act)
        done.result()

    def _run(self, listening: socket.socket, ready: Future[None]) -> None:
        try:
            asyncio.run(self._main(listening, ready))
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)
        finally:
            listening.close()

    async def _main(self, listening: socket.socket, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        for way in self._ways.values():
            way.change(way.weather)  # an event belongs to one loop
        server = await asyncio.start_server(self._accepted, sock=listening, limit=CHUNK_BYTES)
        ready.set_result(None)
        await self._stopping.wait()
        server.close()
        self._cut(reset=True)
        for farewell in self._farewells:
            farewell.cancel()
        await asyncio.gather(*self._pairs, *self._farewells, return_exceptions=True)
        await asyncio.sleep(0)  # the loop tells the connections

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._refusing:
            reset_connection(writer)
            return
        streams = [(reader, writer)]
        task = asyncio.get_running_loop().create_task(self._serve(streams))
        self._pairs[task] = streams
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        for _, writer in self._pairs.pop(task, ()):
            writer.transport.abort()

    async def _serve(self, streams: list[Streams]) -> None:
        """Connect to the target, and carry bytes both ways until both have ended."""
        (reader, writer) = streams[0]
        port = self._target.port or _PORTS[self._target.scheme]
        try:
            there = await asyncio.open_connection(self._target.hostname, port, limit=CHUNK_BYTES)
        except OSError:
            reset_connection(writer)
            return
        streams.append(there)
        up = carry(self._ways["up"], reader, there[1])
        down = carry(self._ways["down"], there[0], writer)
        # One that fails because its receiver is gone leaves the other to find out.
        await asyncio.gather(up, down, return_exceptions=True)

    def _cut(self, *, reset: bool) -> None:
        for task, streams in list(self._pairs.items()):
            if reset:
                for _, writer in streams:
                    reset_connection(writer)
            else:
                farewell = asyncio.get_running_loop().create_task(say_goodbye(task, streams))
                self._farewells.add(farewell)
                farewell.add_done_callback(self._farewells.discard)
                self._pairs[task] = []
            task.cancel()
