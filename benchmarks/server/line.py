"""``python -m benchmarks.server.line PORT MBIT WIDTH``: a line to a server on this machine.

It passes connections on at MBIT megabits a second each way: one such line for each connection
(WIDTH is ``each``), or one for all (``all``), which then get equal shares of it. It adds no delay.
See also `benchmarks.server.host`.
"""

from __future__ import annotations

import asyncio
import socket
import sys

from .host import HOST, host, port_of, run

_PIECE_BYTES = 16 * 1024
_BUFFER_BYTES = 256 * 1024  # 20 ms of 100 Mbit/s
# Timers are late, more so on a busy machine: so many seconds of the line are made up for.
_SLACK = 0.02


class _Line:
    """One direction of a line."""

    def __init__(self, bytes_per_second: float) -> None:
        self._rate = bytes_per_second
        self._free_at = 0.0

    async def take(self, size: int) -> None:
        """Wait until bytes have passed. Who takes a piece at a time gets an equal share."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now - _SLACK) + size / self._rate
        await asyncio.sleep(self._free_at - now)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line) -> None:
    try:
        while piece := await reader.read(_PIECE_BYTES):
            await line.take(len(piece))
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass  # the other end has gone
    finally:
        writer.close()


async def _main() -> None:
    port, rate = int(sys.argv[1]), float(sys.argv[2]) * 1e6 / 8
    shared = (_Line(rate), _Line(rate)) if sys.argv[3] == "all" else None

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up, down = shared or (_Line(rate), _Line(rate))
        reader_there, writer_there = await asyncio.open_connection(HOST, port, limit=_PIECE_BYTES)
        await asyncio.gather(_carry(reader, writer_there, up), _carry(reader_there, writer, down))

    listening = socket.create_server((HOST, 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    server = await asyncio.start_server(serve, sock=listening, limit=_PIECE_BYTES)
    await host(port_of(server), lambda _: {})


if __name__ == "__main__":
    run(_main)
