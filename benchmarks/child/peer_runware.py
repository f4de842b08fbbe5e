"""`runware` from PyPI. It uploads a file first; its own gate of 15 is opened."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from ..job import Job
from .base import MODEL, Api, Image

__all__ = ["open_client"]


@asynccontextmanager
async def open_client(job: Job) -> AsyncIterator[Api]:
    os.environ["RUNWARE_MAX_CONCURRENT_REQUESTS"] = str(job.in_flight)
    runware = import_module("runware")
    client = runware.Runware(api_key="key", url=job.url)
    await client.connect()

    async def upscale(image: Image) -> Any:
        return await client.imageUpscale(
            runware.IImageUpscale(
                inputs={"image": str(image)},
                model=MODEL,
                upscaleFactor=4,
                outputType=job.output_type,
            )
        )

    yield Api(upscale)
    await client.disconnect()
