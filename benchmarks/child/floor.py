"""The floor, for orientation: the same as the limit on a WebSocket library in C."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any
from uuid import uuid4

import orjson

from ..job import Job
from .base import Api, Image
from .limit import encode

__all__ = ["open_client"]

_picows = import_module("picows")
_Listener: Any = _picows.WSListener
_TEXT = _picows.WSMsgType.TEXT


class _Floor(_Listener):  # type: ignore[misc]  # picows need not be there for the check
    def __init__(self, output_type: str) -> None:
        self._output_type = output_type
        self._futures: dict[str, asyncio.Future[Any]] = {}
        self._transport: Any = None
        self.ready = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: Any) -> None:
        self._transport = transport
        transport.send(_TEXT, b'[{"taskType":"authentication","apiKey":"key"}]')

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if frame.msg_type is not _TEXT:
            return
        for item in orjson.loads(frame.get_payload_as_memoryview())["data"]:
            if item["taskType"] == "authentication":
                self.ready.set_result(None)
            else:
                self._futures.pop(item["taskUUID"]).set_result(item)

    async def submit(self, image: Image) -> asyncio.Future[Any]:
        uuid = str(uuid4())
        self._futures[uuid] = future = asyncio.get_running_loop().create_future()
        self._transport.send(_TEXT, encode(uuid, image, self._output_type))
        return future

    async def upscale(self, image: Image) -> Any:
        return await (await self.submit(image))


@asynccontextmanager
async def open_client(job: Job) -> AsyncIterator[Api]:
    transport, client = await _picows.ws_connect(
        lambda: _Floor(job.output_type), job.url, max_frame_size=2**28
    )
    await client.ready
    yield Api(client.upscale, client.submit)
    transport.disconnect()
