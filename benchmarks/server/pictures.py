"""``python -m benchmarks.server.pictures``: a web server of pictures, some way away.

``GET /SIZE/MILLISECONDS`` gives so many bytes so much later. The first request on a connection
takes twice as long, since connecting takes a round trip, too. See also `benchmarks.server.host`.
"""

from __future__ import annotations

import asyncio

from .host import HOST, host, port_of, run

_PIECE = b"\xff\xd8\xff\xe0" + bytes(256 * 1024 - 4)


class _Pictures:
    def __init__(self) -> None:
        self.counters = {"frames": 0, "bytes": 0, "connections": 0}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.counters["connections"] += 1
        trips = 2
        try:
            while True:
                line = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
                size, milliseconds = map(int, line.decode().strip("/").split("/"))
                if milliseconds:
                    await asyncio.sleep(trips * milliseconds / 1000)
                trips = 1
                await self._send(writer, size)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, size: int) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {size}\r\n\r\n"
        writer.write(head.encode())
        self.counters["frames"] += 1
        self.counters["bytes"] += size
        while size > 0:
            writer.write(_PIECE[:size])
            size -= len(_PIECE)
            await writer.drain()


async def _main() -> None:
    pictures = _Pictures()
    server = await asyncio.start_server(pictures.serve, HOST, 0, backlog=1024)
    await host(port_of(server), lambda _: pictures.counters)


if __name__ == "__main__":
    run(_main)
