"""``python -m benchmarks.child.downloads JOB``: saves pictures, so many at once; prints figures.

The limit is what anybody would write by hand: one httpx client that keeps as many connections as it
uses, and a file written in a thread. It checks nothing.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio.to_thread
import httpx

from runware_ws import UpscaleResult
from runware_ws.runtime.download import Downloads

from ..clients import CLIENTS
from ..control import Control
from ..job import Figures, SpecialJob
from .loops import Loop, loop_named
from .meter import Meter, resident_bytes

Save = Callable[[Path], Awaitable[object]]


@asynccontextmanager
async def _limit(job: SpecialJob) -> AsyncIterator[Save]:
    limits = httpx.Limits(max_connections=job.in_flight, max_keepalive_connections=job.in_flight)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:

        async def save(path: Path) -> None:
            response = await client.get(job.url)
            await anyio.to_thread.run_sync(path.write_bytes, response.content)

        yield save


@asynccontextmanager
async def _ours(job: SpecialJob) -> AsyncIterator[Save]:
    downloads = Downloads(f"ws://127.0.0.1:{job.control}/v1")
    downloads.open()

    async def save(path: Path) -> None:
        await UpscaleResult("task", {"imageURL": job.url}, downloads=downloads).save(path)

    yield save
    await downloads.aclose()


async def _save_all(save: Save, count: int, at_once: int, folder: Path, loop: Loop) -> None:
    todo = iter(range(count))

    async def saver() -> None:
        for number in todo:
            await save(folder / f"{number}.jpg")

    await loop.together(saver, min(at_once, count))


def main(job: SpecialJob) -> Figures:
    """Do the job."""
    client = CLIENTS[job.client]
    loop = loop_named(client.loop)
    control = Control(job.control)
    figures: Figures = {}

    async def run() -> None:
        opened = _limit if client.module == "limit" else _ours
        with TemporaryDirectory() as name:
            async with opened(job) as save:
                folder = Path(name)
                await _save_all(save, job.warm_up, job.in_flight, folder, loop)
                before = resident_bytes()
                meter = Meter(control)
                begun = time.perf_counter()
                await _save_all(save, job.tasks, job.in_flight, folder, loop)
                wall = time.perf_counter() - begun
                figures.update(meter.stop(job.tasks))
        figures["wall_ms"] = wall * 1e3
        figures["grown_mib"] = figures["peak_mib"] - before / 2**20
        figures["connections"] = control.stats()["connections"]

    loop.run(run)
    control.close()
    return figures


if __name__ == "__main__":
    print(json.dumps(main(SpecialJob.from_json(sys.argv[1]))))
