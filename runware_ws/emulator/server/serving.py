"""Serving: uvicorn's HTTP protocol and our WebSocket connections on one listening socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import uvicorn
from uvicorn.server import ServerState

from .app import make_app
from .host import Host
from .websocket import WebSocketConnection

_GRACE = 0.5  # seconds for peers to take what is written, when the server stops


@asynccontextmanager
async def serving(
    host: Host, listening: socket.socket, max_frame_bytes: int
) -> AsyncIterator[None]:
    """Serve a listening socket within the block, and close all connections at its end.

    `uvicorn.Server` polls every 100 ms whether it should stop, and sleeps 100 ms more when it
    does. So its HTTP protocol is used without it, as it is used there; `test_uvicorn.py` says
    when uvicorn changes that.
    """
    websockets: set[WebSocketConnection] = set()
    config = uvicorn.Config(
        make_app(host),
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        date_header=False,
        server_header=False,
        ws=partial(WebSocketConnection, host, websockets, max_frame_bytes),  # type: ignore[arg-type]  # it is only called
    )
    config.load()
    http = ServerState()
    make_protocol = partial(
        config.http_protocol_class,  # type: ignore[call-arg]  # declared as any asyncio.Protocol
        config=config,
        server_state=http,
        app_state={},
    )
    server = await asyncio.get_running_loop().create_server(make_protocol, sock=listening)
    try:
        yield
    finally:
        server.close()
        host.refuse_requests()
        await _close(http, websockets)


async def _close(http: ServerState, websockets: set[WebSocketConnection]) -> None:
    """Close the connections, and abort those whose peers do not take the end in time."""
    for connection in [*http.connections, *websockets]:
        connection.shutdown()
    pending = [*http.tasks, *(connection.closed for connection in websockets)]
    if pending:
        await asyncio.wait(pending, timeout=_GRACE)
    for http_connection in list(http.connections):
        http_connection.transport.abort()
    for connection in list(websockets):
        connection.abort()
    await asyncio.sleep(0)  # the loop tells the connections
