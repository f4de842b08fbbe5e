"""The HTTP server: the routes, and uvicorn's HTTP protocol and WebSockets on one socket."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.server import ServerState

from ...protocol.wire import encode_answer
from .host import Host
from .websocket import WebSocketConnection

_GRACE = 0.5  # seconds for peers to take what is written, when the server stops
_JSON = "application/json"
_CODES = {404: "notFound", 405: "methodNotAllowed", 413: "requestTooLarge"}
_MAX_UNAUTHENTICATED_BYTES = 64 * 1024  # that a body may have without the key
_FIRST_BYTES = 4096  # of a body: without a header, the key is among them


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

    `uvicorn.Server` checks every 100 ms whether it should stop, and sleeps another 100 ms when it
    does. So its protocol is used without it, and is created in the same way as there.
    `tests/emulator/test_uvicorn.py` fails when uvicorn changes that.
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
    """Close the connections, and abort those whose peers do not read the end in time."""
    for connection in [*http.connections, *websockets]:
        connection.shutdown()
    pending = [*http.tasks, *(connection.closed for connection in websockets)]
    if pending:
        await asyncio.wait(pending, timeout=_GRACE)
    for http_connection in list(http.connections):
        http_connection.transport.abort()
    for connection in list(websockets):
        connection.abort()
    await asyncio.sleep(0)  # so that `connection_lost` is called


def make_app(host: Host) -> Starlette:
    """Return the ASGI application in front of `host`."""

    async def post(request: Request) -> Response:
        key = _bearer(request)
        try:
            body = await _body(request, host, key)
        except ClientDisconnect:
            return Response(status_code=400)
        dry_run = request.headers.get("x-runware-dry-run") == "1"
        answer = await host.request(body, key, dry_run=dry_run)
        return Response(answer.body, answer.status, media_type=_JSON)

    async def image(request: Request) -> Response:
        stored = host.store.get(request.path_params["name"].partition(".")[0], host.now)
        if stored is None:
            raise HTTPException(404, "No such image, or not any more.")
        return Response(stored.content, media_type=stored.media_type)

    async def describe(_request: Request) -> Response:
        return JSONResponse(openapi_document())

    routes = [
        # The service documents both: the OpenAPI document `/v1/`, the examples `/v1`.
        *(Route(path, post, methods=["POST"]) for path in ("/v1", "/v1/")),
        Route("/openapi.json", describe, methods=["GET"]),
        Route("/image/{name}", image, methods=["GET"]),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refused, 500: _failed})


async def _body(request: Request, host: Host, key: str | None) -> bytes:
    """Read the body of a request.

    Raises:
        HTTPException: it is too large, or is large and has no key near its beginning.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_UNAUTHENTICATED_BYTES:
            limit = host.max_body_bytes(body[:_FIRST_BYTES], key) or _MAX_UNAUTHENTICATED_BYTES
            if len(body) > limit:
                message = f"The body is larger than {limit} bytes."
                raise HTTPException(413, message, {"Connection": "close"})  # the rest stays unread
    return bytes(body)


def openapi_document() -> dict[str, object]:
    """Return the OpenAPI document that the service publishes, with this server's address."""
    path = files(__package__) / "real-esrgan.openapi.json"
    document: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return document | {"servers": [{"url": "/v1", "description": "The emulator"}]}


def _bearer(request: Request) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


async def _refused(_request: Request, error: Exception) -> Response:
    """Answer a request that was refused before its tasks, in the shape of the service's errors."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    code = _CODES.get(error.status_code, "invalidRequest")
    body = encode_answer(errors=[{"code": code, "message": error.detail}])
    return Response(body, error.status_code, error.headers, media_type=_JSON)


async def _failed(_request: Request, _error: Exception) -> Response:
    """Answer a request after a failure of the emulator itself. The server logs the reason."""
    error = {"code": "internalServerError", "message": "The emulator failed; see its log."}
    return Response(encode_answer(errors=[error]), 500, media_type=_JSON)
