"""``python -m benchmarks.child.actors JOB``: a table of images, worked on by several processes.

Each process has an `Upscaler`, as an actor of Ray Data does, or for the limit a plain client.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from uuid import uuid4

from PIL import Image

from runware_ws import RunwareClient
from runware_ws.upscaler import Upscaler

from ..clients import LIMIT
from ..control import Control
from ..job import KEY, Figures, SpecialJob

Work = Callable[[int], None]
"""Upscales so many images, a batch after the other."""

_WARM_UP = 3  # batches: the number in flight is found


def _picture() -> bytes:
    file = BytesIO()
    Image.new("RGB", (64, 64), "teal").save(file, "PNG")
    return file.getvalue()


@contextmanager
def _limit(job: SpecialJob) -> Iterator[Work]:
    image = _picture()
    with asyncio.Runner() as runner:
        client = RunwareClient(KEY, url=job.url)

        async def work(count: int) -> None:
            outcomes = client.upscale_many(
                [image] * count,
                max_in_flight=job.in_flight,
                output_type="base64Data",
                include_cost=True,
                idempotency=lambda _: str(uuid4()),
            )
            async for outcome in outcomes:
                assert outcome.unwrap().data

        runner.run(client.connect())
        yield lambda count: runner.run(work(count))
        runner.run(client.aclose())


@contextmanager
def _ours(job: SpecialJob) -> Iterator[Work]:
    image = _picture()
    upscaler = Upscaler(client={"url": job.url})

    def work(count: int) -> None:
        for _ in range(0, count, job.in_flight):
            ids = [str(uuid4()) for _ in range(job.in_flight)]
            done = upscaler({"bytes": [image] * len(ids), "id": ids})
            assert not any(done["error"]), done["error"]

    yield work
    upscaler.close()


def _act(job: SpecialJob, ready: Barrier, costs: SimpleQueue[float]) -> None:
    """Do an actor's share, once all are ready."""
    opened = _limit if job.client == LIMIT else _ours
    with opened(job) as work:
        work(_WARM_UP * job.in_flight)
        ready.wait()
        before = time.process_time()
        work(job.tasks // job.actors)
        costs.put(time.process_time() - before)


def main(job: SpecialJob) -> Figures:
    """Do the job."""
    os.environ["RUNWARE_API_KEY"] = KEY
    control = Control(job.control)
    context = multiprocessing.get_context("spawn")
    ready, costs = context.Barrier(job.actors + 1), context.SimpleQueue()
    actors = [context.Process(target=_act, args=(job, ready, costs)) for _ in range(job.actors)]
    for actor in actors:
        actor.start()
    ready.wait()
    begun, before = time.perf_counter(), control.stats()
    cpu = sum(costs.get() for _ in actors)
    wall = time.perf_counter() - begun
    after = control.stats()
    for actor in actors:
        actor.join()
    control.close()
    assert after["runs"] == job.tasks + _WARM_UP * job.in_flight * job.actors
    return {
        "ideal_percent": job.ideal_s / wall * 100,
        "cpu_us": cpu / job.tasks * 1e6,
        "per_second": job.tasks / wall,
        "server_percent": (after["cpu"] - before["cpu"]) / wall * 100,
    }


if __name__ == "__main__":
    print(json.dumps(main(SpecialJob.from_json(sys.argv[1]))))
