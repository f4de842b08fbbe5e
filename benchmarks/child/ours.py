"""This package, with every guarantee on, and every setting at its default that the job lets be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from runware_ws import RunwareClient, RunwareError

from ..job import KEY, Job
from .base import Api

__all__ = ["open_client", "open_with"]


def open_client(job: Job) -> AbstractAsyncContextManager[Api]:
    """Without a journal."""
    return open_with(job)


@asynccontextmanager
async def open_with(
    job: Job, journal: Path | None = None, watch: Callable[[RunwareClient], None] | None = None
) -> AsyncIterator[Api]:
    """With a journal in a file, or with a watcher."""
    output_type = cast(Literal["URL", "base64Data"], job.output_type)
    settings: dict[str, Any] = dict(job.settings)
    async with RunwareClient(KEY, url=job.url, journal=journal, **settings) as client:
        if watch is not None:
            watch(client)

        # Not coroutines of their own, which the limit has not either.
        upscale = partial(client.upscale, output_type=output_type)
        submit = partial(client.submit, output_type=output_type)
        yield Api(upscale, submit, RunwareError)
