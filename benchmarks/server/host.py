"""What the server processes have in common: two ports, and an end.

The ports are printed as JSON. The process ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module

__all__ = ["HOST", "Counters", "host", "port_of", "run"]

HOST = "127.0.0.1"
Counters = Mapping[str, float]


async def host(port: int, command: Callable[[str], Counters]) -> None:
    """Announce a port, and obey the control line; see `benchmarks.control`.

    Args:
        port: where the server listens.
        command: does what the control line asks for, and gives what is counted.
    """

    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while name := (await reader.readline()).decode().strip():
            now = {"cpu": time.process_time(), "now": time.monotonic()}
            writer.write(json.dumps({**command(name), **now}).encode() + b"\n")
        writer.close()

    control = await asyncio.start_server(obey, HOST, 0)
    sys.stdout.write(json.dumps({"port": port, "control": port_of(control)}) + "\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def port_of(server: asyncio.Server) -> int:
    """Return the port on which a server listens."""
    port: int = server.sockets[0].getsockname()[1]
    return port


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a server on uvloop."""
    import_module("uvloop").run(main())
