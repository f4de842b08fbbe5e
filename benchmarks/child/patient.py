"""The limit, made to bear refusals: 64 at once, and each refused one again after a while."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from random import uniform
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection

from ..job import Job
from .base import Api, Image
from .limit import Limit, open_loop

__all__ = ["open_client"]

_AT_ONCE = 64
_DELAYS = (0.05, 1.0)  # full jitter: from what a task takes to twenty times that


class _RefusedError(Exception):
    pass


class _Patient(Limit):
    def __init__(self, socket: ClientConnection, output_type: str) -> None:
        super().__init__(socket, output_type)
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def upscale(self, image: Image) -> Any:
        delay, longest = _DELAYS
        async with self._gate:
            while True:
                try:
                    return await super().upscale(image)
                except _RefusedError:
                    await asyncio.sleep(uniform(0, delay))
                    delay = min(2 * delay, longest)

    async def read(self) -> None:
        while True:
            message = orjson.loads(await self._socket.recv(decode=False))
            for item in message.get("data", ()):
                self._futures.pop(item["taskUUID"]).set_result(item)
            for item in message.get("errors", ()):
                self._futures.pop(item["taskUUID"]).set_exception(_RefusedError(item["code"]))


def open_client(job: Job) -> AbstractAsyncContextManager[Api]:
    """With a gate."""
    return open_loop(job, _Patient)
