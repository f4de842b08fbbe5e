"""``python -m benchmarks.server``: the load server; see `benchmarks.server.host`."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

from .host import HOST, host, port_of, run
from .service import Connection, Service

_MAX_FRAME_BYTES = 64 * 1024 * 1024


async def _main() -> None:
    logging.getLogger("picows").setLevel(logging.ERROR)  # it tells of each full buffer
    service = Service()

    def listen(request: Any) -> Connection:
        return Connection(service, request.path.decode())

    server = await import_module("picows").ws_create_server(
        listen, HOST, 0, max_frame_size=_MAX_FRAME_BYTES
    )
    await host(port_of(server), service.command)


if __name__ == "__main__":
    run(_main)
