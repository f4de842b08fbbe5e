"""A web service that upscales images from POST requests, with metrics for Prometheus.

python examples/service.py

It prints its address. Then, for example:

curl --data-binary @examples/coffee.jpg "http://127.0.0.1:8080/upscale?factor=2"
curl http://127.0.0.1:8080/metrics
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TypedDict

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from runware_ws import InputError, RunwareClient, RunwareError, Stats, TaskTimeoutError
from runware_ws.emulator import Emulator


class State(TypedDict):
    """The content of `request.state`."""

    client: RunwareClient


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[State]:
    """Open one client for all requests, and finish the tasks in flight at the end."""
    async with RunwareClient() as client:
        yield {"client": client}
        await client.drain(timeout=30)


async def upscale(request: Request) -> JSONResponse:
    factor = 2 if request.query_params.get("factor") == "2" else 4
    try:
        result = await request.state.client.upscale(
            await request.body(), upscale_factor=factor, include_cost=True, timeout=60
        )
    except InputError as error:
        return JSONResponse({"error": str(error)}, status_code=400)
    except TaskTimeoutError as error:
        return JSONResponse({"error": str(error), "task": error.task_uuid}, status_code=504)
    except RunwareError as error:
        return JSONResponse({"error": str(error)}, status_code=502)
    return JSONResponse({"url": result.image_url, "cost": result.cost, "task": result.task_uuid})


async def metrics(request: Request) -> PlainTextResponse:
    text = "\n".join(lines_of(request.state.client.stats())) + "\n"
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


def lines_of(stats: Stats) -> Iterator[str]:
    """Yield the lines that Prometheus reads."""
    totals = {
        "retried": "Tasks run again after a failure.",
        "refused": "Tasks refused for lack of room.",
        "resent": "Tasks in doubt sent again.",
        "reconnects": "Connections after the first.",
        "dropped": "Answers without a waiting task.",
        "bytes_sent": "Content of frames sent.",
        "bytes_received": "Content of frames received.",
        "cost": "Cost of the results in US dollars.",
    }
    yield from family("runware_up", "gauge", "1 while connected.")
    yield f"runware_up {int(stats.state == 'connected')}"
    yield from family("runware_tasks_in_flight", "gauge", "Unsettled tasks.")
    for stage in ("queued", "sent", "accepted", "reconciling"):
        yield f'runware_tasks_in_flight{{state="{stage}"}} {stats.tasks.get(stage, 0)}'
    yield from family("runware_tasks_limit", "gauge", "Tasks that may be in flight.")
    yield f"runware_tasks_limit {stats.limit}"
    yield from family("runware_tasks_total", "counter", "Tasks that were settled.")
    for outcome in ("succeeded", "failed"):
        yield f'runware_tasks_total{{outcome="{outcome}"}} {getattr(stats, outcome)}'
    yield from family("runware_doubts_total", "counter", "Results of tasks in doubt.")
    for end, number in stats.recovered.items():
        yield f'runware_doubts_total{{end="{end}"}} {number}'
    for name, text in totals.items():
        yield from family(f"runware_{name}_total", "counter", text)
        yield f"runware_{name}_total {getattr(stats, name)}"


def family(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


app = Starlette(
    routes=[Route("/upscale", upscale, methods=["POST"]), Route("/metrics", metrics)],
    lifespan=lifespan,
)


async def serve() -> None:
    listening = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "8080"))))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve([listening])


if __name__ == "__main__":
    if "RUNWARE_API_KEY" in os.environ:
        asyncio.run(serve())
    else:
        print("RUNWARE_API_KEY is not set: using an emulator (Lanczos stands in for the model)")
        with Emulator() as emulator:
            os.environ |= {"RUNWARE_URL": emulator.url, "RUNWARE_API_KEY": emulator.api_key}
            asyncio.run(serve())
