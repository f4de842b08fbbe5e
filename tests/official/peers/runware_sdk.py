"""Drive `runware-sdk` from PyPI."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from .calls import serve

MODEL = "runware:504@1"
_clients: list[Any] = []


async def connect(url: str, key: str) -> None:
    client = import_module("runware").Runware(
        api_key=key, ws_base_url=url, auth_timeout=5000, retry_delay=100
    )
    _clients.append(client)
    await client.connect()


async def connect_by_rest(url: str, key: str) -> None:
    _clients.append(
        import_module("runware").Runware(
            api_key=key, transport="rest", http_base_url=url, retry_delay=100
        )
    )


async def upscale(image: str, *, older: bool = False, **members: Any) -> Any:
    task = {"taskType": "upscale", "model": MODEL, "inputs": {"image": image}, **members}
    if older:
        task = {"taskType": "imageUpscale", "inputImage": image, **members}
    return (await _clients[-1].run(task))[0]


async def upscale_file(path: str, **members: Any) -> Any:
    return await upscale(import_module("runware").file_to_data_uri(path), **members)


async def upload(path: str) -> Any:
    runware = import_module("runware")
    task = {"image": runware.file_to_data_uri(path)}
    return (await _clients[-1].image_upload(task, runware.RunOptions(timeout=1000)))[0]


async def wait_until_connected() -> None:
    """It says of its connection only whether it is there."""
    while not _clients[-1].is_connected:  # noqa: ASYNC110  # it has no event
        await asyncio.sleep(0.01)


async def close() -> None:
    while _clients:
        await _clients.pop().close()


if __name__ == "__main__":
    serve(
        {
            "connect": connect,
            "connect_by_rest": connect_by_rest,
            "upscale": upscale,
            "upscale_file": upscale_file,
            "upload": upload,
            "wait_until_connected": wait_until_connected,
            "close": close,
        }
    )
