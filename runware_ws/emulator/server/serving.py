"""Serving: uvicorn's HTTP protocol and our WebSocket connections on one listening socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import uvicorn
from starlette.applications import Starlette
from uvicorn.server import ServerState

from .app import make_app
from .host import Host
from .websocket import WebSocketConnection

_GRACE = 0.5  # seconds for peers to take what is written, when the server stops


@asynccontextmanager
async def serving(
    host: Host, listening: socket.socket, max_frame_bytes: int
) -> AsyncIterator[None]:
    """Serve a listening socket within the block, and close all connections at its end."""
    http = ServerState()
    websockets: set[WebSocketConnection] = set()
    new_websocket = partial(WebSocketConnection, host, websockets, max_frame_bytes)
    new_connection = _http_protocol(make_app(host), http, new_websocket)
    server = await asyncio.get_running_loop().create_server(new_connection, sock=listening)
    try:
        yield
    finally:
        server.close()
        host.refuse_requests()
        await _close(http, websockets)


def _http_protocol(
    app: Starlette, state: ServerState, websocket: Callable[..., asyncio.Protocol]
) -> Callable[[], asyncio.Protocol]:
    """Return a factory of uvicorn's HTTP protocol, which hands upgraded connections over.

    `uvicorn.Server` polls every 100 ms whether it should stop, and sleeps 100 ms more when it
    does. So its protocol is used without it, made as it is made there. `test_uvicorn.py` tells
    when uvicorn changes that.
    """
    config = uvicorn.Config(
        app,
        ws=websocket,  # type: ignore[arg-type]  # declared as a class, but only called
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        date_header=False,
        server_header=False,
    )
    config.load()
    make: Callable[..., asyncio.Protocol] = config.http_protocol_class
    return partial(make, config=config, server_state=state, app_state={})


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
