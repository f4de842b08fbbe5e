"""The limit: what anybody would write by hand, with no guarantee at all."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import uuid4

import orjson
from websockets.asyncio.client import ClientConnection, connect

from ..job import Job
from .base import MODEL, Api, Image

__all__ = ["Limit", "encode", "open_client", "open_loop"]


class Limit:
    """A dict of futures, and a frame for each task."""

    def __init__(self, socket: ClientConnection, output_type: str) -> None:
        self._socket = socket
        self._output_type = output_type
        self._futures: dict[str, asyncio.Future[Any]] = {}

    async def submit(self, image: Image) -> asyncio.Future[Any]:
        uuid = str(uuid4())
        self._futures[uuid] = future = asyncio.get_running_loop().create_future()
        await self._socket.send(encode(uuid, image, self._output_type), text=True)
        return future

    async def upscale(self, image: Image) -> Any:
        return await (await self.submit(image))

    async def read(self) -> None:
        while True:
            for item in orjson.loads(await self._socket.recv(decode=False))["data"]:
                self._futures.pop(item["taskUUID"]).set_result(item)


def encode(uuid: str, image: Image, output_type: str) -> bytes:
    """A task, alone in its frame."""
    task: dict[str, Any] = {
        "taskType": "upscale",
        "taskUUID": uuid,
        "model": MODEL,
        "upscaleFactor": 4,
        "outputType": output_type,
    }
    if isinstance(image, str):
        task["inputs"] = {"image": image}
        return orjson.dumps([task])
    data = base64.b64encode(image.read_bytes())  # joined as bytes: no pass over it is needless
    return b"".join((b"[", orjson.dumps(task)[:-1], b',"inputs":{"image":"', data, b'"}}]'))


def open_client(job: Job) -> AbstractAsyncContextManager[Api]:
    """As it is."""
    return open_loop(job, Limit)


@asynccontextmanager
async def open_loop(job: Job, kind: type[Limit]) -> AsyncIterator[Api]:
    """With the options of the package's own transport."""
    async with connect(
        job.url, compression=None, max_size=2**28, max_queue=None, ping_interval=None
    ) as socket:
        await socket.send('[{"taskType":"authentication","apiKey":"key"}]')
        await socket.recv()
        client = kind(socket, job.output_type)
        reader = asyncio.create_task(client.read())
        yield Api(client.upscale, client.submit)
        reader.cancel()
