"""`runware-sdk` from PyPI. Its default delivery polls, so it is told to have results pushed."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from ..job import Job
from .base import MODEL, Api, Image

__all__ = ["open_client"]


@asynccontextmanager
async def open_client(job: Job) -> AsyncIterator[Api]:
    async with import_module("runware").Runware(api_key="key", ws_base_url=job.url) as client:

        async def upscale(image: Image) -> Any:
            text = image if isinstance(image, str) else base64.b64encode(image.read_bytes())
            return await client.run(
                {
                    "taskType": "upscale",
                    "model": MODEL,
                    "upscaleFactor": 4,
                    "outputType": job.output_type,
                    "deliveryMethod": "sync",
                    "inputs": {"image": text if isinstance(text, str) else text.decode()},
                }
            )

        yield Api(upscale)
