"""``python -m benchmarks.server``: prints the two ports as JSON, ends with its standard input."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from importlib import import_module
from typing import Any

from .service import Connection, Service

_HOST = "127.0.0.1"
_MAX_FRAME_BYTES = 64 * 1024 * 1024


async def _main() -> None:
    logging.getLogger("picows").setLevel(logging.ERROR)  # it tells of each full buffer
    service = Service()

    def listen(request: Any) -> Connection:
        return Connection(service, request.path.decode())

    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while command := (await reader.readline()).decode().strip():
            writer.write(json.dumps(service.command(command)).encode() + b"\n")
        writer.close()

    sockets = await import_module("picows").ws_create_server(
        listen, _HOST, 0, max_frame_size=_MAX_FRAME_BYTES
    )
    control = await asyncio.start_server(obey, _HOST, 0)
    ports = {"port": _port(sockets), "control": _port(control)}
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


if __name__ == "__main__":
    import_module("uvloop").run(_main())
