"""How a client is driven: the same for all of them."""

from __future__ import annotations

import base64
import gc
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from ..control import Control
from ..job import PHOTOGRAPH, Figures, Job
from .base import Api, Image
from .loops import Loop
from .meter import Meter, latency_figures, resident_bytes

__all__ = ["DRIVERS", "Driver"]

Driver = Callable[[Api, Job, Control, Loop], Awaitable[Figures]]
_IDLE_TIME = 30.0  # long enough for a ping
_LOOK = 0.02
_SMALL_CALLERS = 4
_ALONE = 400  # small tasks


async def closed(api: Api, job: Job, control: Control, loop: Loop) -> Figures:
    """So many callers, each of whom awaits one task after another."""
    await _call_all(api, job, job.warm_up, loop)
    meter = Meter(control)
    latencies = await _call_all(api, job, job.tasks, loop)
    figures = meter.stop(job.tasks)
    return figures | latency_figures(latencies) | _line_figures(figures, job)


async def _call_all(api: Api, job: Job, tasks: int, loop: Loop) -> list[float]:
    image = image_of(job)
    todo = iter(range(tasks))
    latencies: list[float] = []

    async def caller() -> None:
        for _ in todo:
            start = time.perf_counter()
            await api.upscale(image)
            latencies.append(time.perf_counter() - start)

    await loop.together(caller, min(job.in_flight, tasks))
    return latencies


async def window(api: Api, job: Job, control: Control, loop: Loop) -> Figures:
    """So many handed in at once, by one caller: who keeps count of them costs nothing here."""
    await _hand_in(api, job, job.warm_up)
    meter = Meter(control)
    await _hand_in(api, job, job.tasks)
    return meter.stop(job.tasks)


async def _hand_in(api: Api, job: Job, tasks: int) -> None:
    assert api.submit is not None
    image = image_of(job)
    handles: deque[Awaitable[Any]] = deque()
    for _ in range(tasks):
        if len(handles) == job.in_flight:
            await handles.popleft()
        handles.append(await api.submit(image))
    await _await_all(handles)


async def pending(api: Api, job: Job, control: Control, loop: Loop) -> Figures:
    """All submitted, which is what memory is measured of; then let go, and awaited."""
    meter = Meter(control)
    gc.collect()
    before = resident_bytes()
    handles = await _submit_all(api, job, control, loop)
    gc.collect()
    after = resident_bytes()
    control.release()
    await _await_all(handles)
    figures = meter.stop(job.tasks)
    each = (after - before) / job.tasks
    return figures | {"pending_bytes": each - figures["wire_bytes"]}


async def dropped(api: Api, job: Job, control: Control, loop: Loop) -> Figures:
    """The connection drops, and the server knows every task."""
    handles = await _submit_all(api, job, control, loop)
    before = control.stats()
    meter = Meter(control)
    control.drop()
    await _await_all(handles)
    settled_at = time.monotonic()
    figures = meter.stop(job.tasks)
    after = control.stats()
    return figures | {
        "settled_s": settled_at - after["opened_at"],
        "again_percent": (after["bytes"] - before["bytes"]) / before["bytes"] * 100,
        "asked": after["questions"] - before["questions"],
        "conflicts": after["conflicts"],
    }


async def idle(api: Api, job: Job, control: Control, loop: Loop) -> Figures:
    """Nothing happens while all are held by the server."""
    handles = await _submit_all(api, job, control, loop)
    meter = Meter(control)
    await loop.sleep(_IDLE_TIME)
    figures = meter.stop(1)
    control.release()
    await _await_all(handles)
    return figures


async def overload(api: Api, job: Job, control: Control, loop: Loop) -> Figures:
    """All handed in at once, to a server that has no room for them."""
    image = image_of(job)
    failed = 0

    async def caller() -> None:
        nonlocal failed
        try:
            await api.upscale(image)
        except api.error:
            failed += 1

    meter = Meter(control)
    await loop.together(caller, job.tasks)
    figures = meter.stop(job.tasks)
    return figures | {
        "ideal_percent": job.ideal_s * figures["per_second"] / job.tasks * 100,
        "refused_each": control.stats()["refused"] / job.tasks,
        "failed_percent": failed / job.tasks * 100,
    }


async def mixed(api: Api, job: Job, control: Control, loop: Loop) -> Figures:
    """Small tasks alone; then beside uploads, until these are done."""
    alone: list[float] = []
    beside: list[float] = []
    uploads = iter(range(job.tasks))
    uploading = job.in_flight

    async def small(latencies: list[float], is_over: Callable[[], bool]) -> None:
        while not is_over():
            start = time.perf_counter()
            await api.upscale(PHOTOGRAPH)
            latencies.append(time.perf_counter() - start)

    async def upload() -> None:
        nonlocal uploading
        for _ in uploads:
            await api.upscale(image_of(job))
        uploading -= 1

    async def caller() -> None:
        await roles.pop()()

    roles = [partial(small, alone, lambda: len(alone) >= _ALONE)] * _SMALL_CALLERS
    await loop.together(caller, len(roles))
    meter = Meter(control)
    roles = [partial(small, beside, lambda: not uploading)] * _SMALL_CALLERS
    roles += [partial(upload)] * job.in_flight
    await loop.together(caller, len(roles))
    figures = meter.stop(job.tasks)
    alone_ms = latency_figures(alone)["p99_ms"]
    return figures | latency_figures(beside) | _line_figures(figures, job) | {"alone_ms": alone_ms}


def _line_figures(figures: Figures, job: Job) -> Figures:
    sent = figures["wire_bytes"] * figures["per_second"]
    return {"line_percent": sent / job.line_bytes * 100} if job.line_bytes else {}


async def _submit_all(api: Api, job: Job, control: Control, loop: Loop) -> list[Awaitable[Any]]:
    """Submit all, and wait until the server has them."""
    assert api.submit is not None
    image = image_of(job)
    seen = control.stats()["tasks"]
    handles = [await api.submit(image) for _ in range(job.tasks)]
    while control.stats()["tasks"] < seen + job.tasks:
        await loop.sleep(_LOOK)
    return handles


async def _await_all(handles: Iterable[Awaitable[Any]]) -> None:
    for handle in handles:
        await handle


def image_of(job: Job) -> Image:
    file = Path(job.file)
    if job.as_text:
        return base64.b64encode(file.read_bytes()).decode()
    return file if job.file else PHOTOGRAPH


DRIVERS: dict[str, Driver] = {
    "closed": closed,
    "window": window,
    "pending": pending,
    "dropped": dropped,
    "idle": idle,
    "overload": overload,
    "mixed": mixed,
}
