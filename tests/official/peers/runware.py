"""Drive `runware` from PyPI. It uploads a file first, and fails only after its patience."""

from __future__ import annotations

import asyncio
import dataclasses
from importlib import import_module
from typing import Any

from .calls import serve

MODEL = "runware:504@1"
_clients: list[Any] = []


async def connect(url: str, key: str) -> None:
    client = import_module("runware").Runware(api_key=key, url=url)
    _clients.append(client)
    await client.connect()
    await client.ensureConnection()  # `connect` says nothing of a key that was refused


async def upscale(image: str, *, older: bool = False, **members: Any) -> Any:
    runware = import_module("runware")
    place = {"inputImage": image} if older else {"inputs": {"image": image}, "model": MODEL}
    answer = await _clients[-1].imageUpscale(runware.IImageUpscale(**place, **members))
    if isinstance(answer, list):
        return _plain(answer[0])
    (image_found,) = await _clients[-1].getResponse(taskUUID=answer.taskUUID)
    return _plain(image_found)


async def upscale_file(path: str, **members: Any) -> Any:
    return await upscale(path, **members)


async def upload(path: str) -> Any:
    return _plain(await _clients[-1].uploadImage(path))


async def wait_until_connected() -> None:
    """It says of its connection only whether it is there."""
    while not _clients[-1].connected():  # noqa: ASYNC110  # it has no event
        await asyncio.sleep(0.01)


async def close() -> None:
    while _clients:
        await _clients.pop().disconnect()


def _plain(answer: Any) -> Any:
    return {name: value for name, value in dataclasses.asdict(answer).items() if value is not None}


if __name__ == "__main__":
    serve(
        {
            "connect": connect,
            "upscale": upscale,
            "upscale_file": upscale_file,
            "upload": upload,
            "wait_until_connected": wait_until_connected,
            "close": close,
        }
    )
