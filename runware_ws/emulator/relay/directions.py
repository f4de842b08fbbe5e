"""One direction of a relayed connection: bytes come in, and go on as the weather allows."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = [
    "CHUNK_BYTES",
    "Streams",
    "Way",
    "Weather",
    "carry",
    "reset_connection",
    "say_goodbye",
]

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

CHUNK_BYTES = 64 * 1024
_QUEUED_CHUNKS = 64  # what is delayed is held here, 4 MiB at most; then the sender has to wait
_GOODBYE = 2.0  # seconds for a peer to close its half, after a clean end
_TICK = 0.05  # seconds; what is throttled goes in pieces of about this length


@dataclass(slots=True)
class Weather:
    """What a direction does to bytes.

    Attributes:
        silence: ``hold`` or ``swallow``, or "" when bytes get through.
        delay: seconds that each byte is under way.
        rate: bytes per second; None for no limit.
        piece_bytes: the largest piece in which bytes are sent on; None for any.
    """

    silence: str = ""
    delay: float = 0.0
    rate: float | None = None
    piece_bytes: int | None = None


@dataclass(slots=True)
class Way:
    """One direction of all connections: its weather, and what has passed.

    Attributes:
        passed_bytes: how many bytes have gone on.
        swallowed_bytes: how many have not, and never will.
    """

    dice: random.Random
    weather: Weather = field(default_factory=Weather)
    passed_bytes: int = 0
    swallowed_bytes: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def change(self, weather: Weather) -> None:
        """Have another weather from now on, also for what is under way."""
        self.weather = weather
        self._changed.set()
        self._changed = asyncio.Event()

    async def pause(self, seconds: float | None) -> None:
        """Wait so long, or until the weather changes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def until_due(self, arrived_at: float) -> None:
        """Wait until what arrived then may go on."""
        now = asyncio.get_running_loop().time
        while (left := arrived_at + self.weather.delay - now()) > 0:
            await self.pause(left)

    async def until_audible(self) -> None:
        """Wait until bytes get through."""
        while self.weather.silence:
            await self.pause(None)

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """The chunk in pieces, each as large as the weather is when it is its turn."""
        start = 0
        while start < len(chunk):
            size = len(chunk)
            if self.weather.rate is not None:
                size = max(1, int(self.weather.rate * _TICK))
            if self.weather.piece_bytes is not None:
                size = min(size, self.dice.randint(1, self.weather.piece_bytes))
            yield chunk[start : start + size]
            start += size


async def carry(way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes until there are no more; then the end of the stream, or the reset.

    An end does not get through a silence either.
    """
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUED_CHUNKS)
    reading = asyncio.create_task(_read(reader, queue))
    try:
        while (item := await queue.get())[1]:
            await way.until_due(item[0])
            await _forward(way, item[1], writer)
        await way.until_due(item[0])
        await way.until_audible()
        if reading.result():
            writer.write_eof()
        else:
            reset_connection(writer)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _read(reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]) -> bool:
    """Take what comes in, with its time; whether it ended well."""
    now = asyncio.get_running_loop().time
    try:
        while chunk := await reader.read(CHUNK_BYTES):
            await queue.put((now(), chunk))
    except OSError:
        await queue.put((now(), b""))
        return False
    await queue.put((now(), b""))
    return True


async def _forward(way: Way, chunk: bytes, writer: asyncio.StreamWriter) -> None:
    for piece in way.pieces(chunk):
        if way.weather.silence == "hold":
            await way.until_audible()
        if way.weather.silence:
            way.swallowed_bytes += len(piece)
            continue
        if way.weather.rate is not None:
            await way.pause(len(piece) / way.weather.rate)
        way.passed_bytes += len(piece)  # before anybody can see them
        writer.write(piece)
        await writer.drain()
        if way.weather.piece_bytes is not None:
            await asyncio.sleep(0)  # lets the system send it by itself


async def say_goodbye(carrying: asyncio.Task[None], streams: Sequence[Streams]) -> None:
    """End the streams cleanly once they are carried no more.

    What still comes in is read: the system resets what is closed with bytes unread.
    """
    try:
        async with asyncio.timeout(_GOODBYE):
            await asyncio.wait([carrying])
            for _, writer in streams:
                with contextlib.suppress(OSError):
                    writer.write_eof()
            for reader, _ in streams:
                with contextlib.suppress(OSError):
                    while await reader.read(CHUNK_BYTES):
                        pass
    except TimeoutError:
        pass
    finally:
        for _, writer in streams:
            writer.transport.abort()


def reset_connection(writer: asyncio.StreamWriter) -> None:
    """End a connection at once: with no time to linger, the system says RST instead of FIN."""
    with contextlib.suppress(OSError):  # it has ended by itself
        linger = struct.pack("ii", 1, 0)
        peer = writer.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
