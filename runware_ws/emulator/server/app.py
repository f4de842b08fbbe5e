"""The routes of the emulator: ``/v1`` as WebSocket and as REST twin, the description of the latter,
and ``/image/…``.
"""

from __future__ import annotations

import asyncio
import contextlib

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ...protocol.wire import encode_answer
from ..service.effects import Close, Push
from .host import Host, Outbox
from .openapi import openapi_document

__all__ = ["make_app"]

_JSON = "application/json"


def make_app(host: Host) -> Starlette:
    """The ASGI application in front of `host`."""

    async def connection(socket: WebSocket) -> None:
        await _serve_connection(host, socket)

    async def post(request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response(status_code=400)
        answer = await host.request(body, _bearer(request))
        return Response(answer.body, answer.status, media_type=_JSON)

    async def image(request: Request) -> Response:
        stored = host.store.get(request.path_params["name"].partition(".")[0], host.now)
        if stored is None:
            raise HTTPException(404, "No such image, or not any more.")
        return Response(stored.content, media_type=stored.media_type)

    async def describe(_request: Request) -> Response:
        return JSONResponse(openapi_document())

    routes = [
        # The OpenAPI document says `/` below `…/v1`, the examples say `…/v1` [O][D].
        *(WebSocketRoute(path, connection) for path in ("/v1", "/v1/")),
        *(Route(path, post, methods=["POST"]) for path in ("/v1", "/v1/")),
        Route("/openapi.json", describe, methods=["GET"]),
        Route("/image/{name}", image, methods=["GET"]),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _http_error, 500: _failure})


async def _http_error(_request: Request, error: Exception) -> Response:
    """What is wrong before any task is seen, in the documented shape [O]."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    code = {404: "notFound", 405: "methodNotAllowed"}.get(error.status_code, "invalidRequest")
    body = encode_answer(errors=[{"code": code, "message": error.detail}])
    return Response(body, error.status_code, error.headers, media_type=_JSON)


async def _failure(_request: Request, _error: Exception) -> Response:
    """The emulator's own fault; the server logs it."""
    error = {"code": "internalServerError", "message": "The emulator failed; see its log."}
    return Response(encode_answer(errors=[error]), 500, media_type=_JSON)


def _bearer(request: Request) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


async def _serve_connection(host: Host, socket: WebSocket) -> None:
    if (status := host.refusal()) is not None:
        denial = Response(status_code=status)
        del denial.headers["content-length"]  # uvicorn's websockets adds its own
        await socket.send_denial_response(denial)
        return
    await socket.accept()
    link, outbox = host.connect(socket.state.abort)
    writer = asyncio.create_task(_write(socket, outbox))
    try:
        while (message := await socket.receive())["type"] != "websocket.disconnect":
            text = message.get("text")
            host.receive(link, message["bytes"] if text is None else text)
    finally:
        writer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writer
        host.disconnect(link)


async def _write(socket: WebSocket, outbox: Outbox) -> None:
    """Write what the outbox holds; what is under way when the connection ends stays unsent."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while isinstance(effect := await outbox.next(), Push):
            await socket.send_text(effect.frame.decode())
            outbox.done()
        if isinstance(effect, Close):
            await socket.close(effect.code, effect.reason)
        else:
            socket.state.cut(effect.how)
