"""``python -m benchmarks.server.pictures``: a web server of pictures, some way away.

``GET /SIZE/MILLISECONDS`` gives so many bytes so much later. The first request on a connection
takes twice as long, since connecting takes a round trip, too. Ports, control line and end are those
of `benchmarks.server.__main__`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from importlib import import_module

_HOST = "127.0.0.1"
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

    async def obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the control line."""
        while await reader.readline():
            stats = {**self.counters, "cpu": time.process_time(), "now": time.monotonic()}
            writer.write(json.dumps(stats).encode() + b"\n")
        writer.close()


async def _main() -> None:
    pictures = _Pictures()
    servers = [
        await asyncio.start_server(handler, _HOST, 0, backlog=1024)
        for handler in (pictures.serve, pictures.obey)
    ]
    port, control = (server.sockets[0].getsockname()[1] for server in servers)
    sys.stdout.write(json.dumps({"port": port, "control": control}) + "\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    import_module("uvloop").run(_main())
