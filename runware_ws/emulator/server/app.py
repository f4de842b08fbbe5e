"""The HTTP routes: the REST twin of the WebSocket, its OpenAPI document, and the images."""

from __future__ import annotations

import json
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ...protocol.wire import encode_answer
from .host import Host

_JSON = "application/json"
_CODES = {404: "notFound", 405: "methodNotAllowed"}


def make_app(host: Host) -> Starlette:
    """Return the ASGI application in front of `host`."""

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
        # The service documents both: the OpenAPI document `/v1/`, the examples `/v1`.
        *(Route(path, post, methods=["POST"]) for path in ("/v1", "/v1/")),
        Route("/openapi.json", describe, methods=["GET"]),
        Route("/image/{name}", image, methods=["GET"]),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refused, 500: _failed})


def openapi_document() -> dict[str, object]:
    """Return the OpenAPI document of the service as it publishes it, but for the address."""
    path = files(__package__) / "real-esrgan.openapi.json"
    document: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return document | {"servers": [{"url": "/v1", "description": "The emulator"}]}


def _bearer(request: Request) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


async def _refused(_request: Request, error: Exception) -> Response:
    """Answer a request that reaches no task, in the shape of the service's errors."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    code = _CODES.get(error.status_code, "invalidRequest")
    body = encode_answer(errors=[{"code": code, "message": error.detail}])
    return Response(body, error.status_code, error.headers, media_type=_JSON)


async def _failed(_request: Request, _error: Exception) -> Response:
    """Answer a request on which the emulator itself failed; the server logs why."""
    error = {"code": "internalServerError", "message": "The emulator failed; see its log."}
    return Response(encode_answer(errors=[error]), 500, media_type=_JSON)
