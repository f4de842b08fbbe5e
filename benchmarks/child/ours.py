"""This package, with every guarantee on and every setting at its default but the gate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Literal, cast

from runware_ws import RunwareClient

from ..job import Job
from .base import Api, Image

__all__ = ["open_client", "open_with"]


def open_client(job: Job) -> AbstractAsyncContextManager[Api]:
    """Without a journal."""
    return open_with(job)


@asynccontextmanager
async def open_with(job: Job, journal: Path | None = None) -> AsyncIterator[Api]:
    """With a journal in a file, or without one."""
    output_type = cast(Literal["URL", "base64Data"], job.output_type)
    async with RunwareClient(
        "key", url=job.url, max_in_flight=job.in_flight, journal=journal
    ) as client:

        async def upscale(image: Image) -> Any:
            return await client.upscale(image, output_type=output_type)

        async def submit(image: Image) -> Awaitable[Any]:
            return await client.submit(image, output_type=output_type)

        yield Api(upscale, submit)
