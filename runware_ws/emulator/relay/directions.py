"""One direction of relayed connections, which forwards bytes under link conditions."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import anyio

from ..server.background import reset

_Arrivals: TypeAlias = "asyncio.Queue[tuple[float, bytes | None]]"
CHUNK_BYTES = 64 * 1024
_QUEUED_CHUNKS = 64  # at most 4 MiB are delayed; beyond that the sender has to wait
_TICK = 0.05  # seconds; throttled bytes go in pieces of about this length


@dataclass(frozen=True, slots=True)
class LinkConditions:
    """The conditions of one direction.

    Attributes:
        silence: ``hold`` keeps the bytes, ``swallow`` drops them, "" forwards them.
        delay: seconds by which each byte is delayed.
        rate: bytes per second; None for no limit.
        piece_bytes: the size of the largest piece that is forwarded at once; None for no limit.
    """

    silence: Literal["", "hold", "swallow"] = ""
    delay: float = 0.0
    rate: float | None = None
    piece_bytes: int | None = None


class RelayDirection:
    """One direction of all relayed connections.

    Attributes:
        conditions: its link conditions.
        passed_bytes: the number of bytes that were forwarded.
        swallowed_bytes: the number of bytes that were dropped.
    """

    def __init__(self, rng: random.Random) -> None:
        self.conditions = LinkConditions()
        self.passed_bytes = 0
        self.swallowed_bytes = 0
        self._rng = rng
        self._changed = asyncio.Event()

    def change(self, conditions: LinkConditions) -> None:
        """Change the conditions, including those for the bytes in flight."""
        self.conditions = conditions
        self._changed.set()
        self._changed = asyncio.Event()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward bytes until the stream ends or the receiver has gone.

        The end is forwarded too: FIN, or RST after an error. A silence also holds the end back.
        """
        arrived: _Arrivals = asyncio.Queue(_QUEUED_CHUNKS)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, reader, arrived)
            with contextlib.suppress(OSError):
                await self._forward(arrived, writer)
            tasks.cancel_scope.cancel()

    async def _forward(self, arrived: _Arrivals, writer: asyncio.StreamWriter) -> None:
        while True:
            arrived_at, chunk = await arrived.get()
            await self._until_due(arrived_at)
            if not chunk:
                break
            await self._send(chunk, writer)
        await self._until_audible()
        if chunk is None:
            reset(writer.transport)
        else:
            writer.write_eof()

    async def _send(self, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        for piece in self._pieces(chunk):
            if self.conditions.silence == "hold":
                await self._until_audible()
            if self.conditions.silence:
                self.swallowed_bytes += len(piece)
                continue
            if self.conditions.rate is not None:
                await self._pause(len(piece) / self.conditions.rate)
            self.passed_bytes += len(piece)  # before the receiver can see them
            writer.write(piece)
            await writer.drain()
            if self.conditions.piece_bytes is not None:
                await asyncio.sleep(0)  # lets the system send the piece by itself

    def _pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the chunk in pieces, each as large as the conditions allow at its turn."""
        start = 0
        while start < len(chunk):
            size = len(chunk)
            if self.conditions.rate is not None:
                size = max(1, int(self.conditions.rate * _TICK))
            if self.conditions.piece_bytes is not None:
                size = min(size, self._rng.randint(1, self.conditions.piece_bytes))
            yield chunk[start : start + size]
            start += size

    async def _until_due(self, arrived_at: float) -> None:
        now = asyncio.get_running_loop().time
        while (left := arrived_at + self.conditions.delay - now()) > 0:
            await self._pause(left)

    async def _until_audible(self) -> None:
        while self.conditions.silence:
            await self._pause(None)

    async def _pause(self, seconds: float | None) -> None:
        """Wait for `seconds`, or until the conditions change."""
        with anyio.move_on_after(seconds):
            await self._changed.wait()


async def _read(reader: asyncio.StreamReader, arrived: _Arrivals) -> None:
    """Queue received bytes with their times; then b"" for the end, or None for an error."""
    now = asyncio.get_running_loop().time
    try:
        while chunk := await reader.read(CHUNK_BYTES):
            await arrived.put((now(), chunk))
        await arrived.put((now(), b""))
    except OSError:
        await arrived.put((now(), None))
