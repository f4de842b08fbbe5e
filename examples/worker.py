"""A worker that runs until Ctrl-C or SIGTERM.

It takes orders, prints events of the connection, and finishes the tasks in flight at the end.

python examples/worker.py
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from itertools import cycle
from pathlib import Path

from runware_ws import RunwareClient, RunwareError, UpscaleTask
from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Drop

HERE = Path(__file__).parent


async def orders() -> AsyncIterator[Path]:
    """Yield orders. It stands for a message queue."""
    for photograph in cycle([HERE / "coffee.jpg", HERE / "rocket.jpg", HERE / "cat.png"]):
        yield photograph
        await asyncio.sleep(0.1)


async def take_orders(client: RunwareClient, group: asyncio.TaskGroup) -> None:
    """Submit each order. `submit` waits while `max_in_flight` tasks are in flight."""
    async for image in orders():
        task = await client.submit(image, upscale_factor=2)
        group.create_task(deliver(image, task))


async def deliver(image: Path, task: UpscaleTask) -> None:
    try:
        result = await task
    except RunwareError as error:
        print(f"{image.name}: {error}", flush=True)
    else:
        print(f"{image.name}: {result.image_url}", flush=True)


async def watch(client: RunwareClient) -> None:
    """Print events of the connection. It reconnects automatically."""
    async for event in client.events():
        print(f"[{event.kind}] {event.detail}", flush=True)


async def main() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    async with asyncio.TaskGroup() as group, RunwareClient(max_in_flight=8) as client:
        group.create_task(watch(client))
        taking = group.create_task(take_orders(client, group))
        await stop.wait()
        taking.cancel()
        everything = await client.drain(timeout=30)
        print("all is delivered" if everything else f"left behind: {client.stats().tasks}")


if __name__ == "__main__":
    if "RUNWARE_API_KEY" in os.environ:
        asyncio.run(main())
    else:
        print("RUNWARE_API_KEY is not set: using an emulator that drops every fifth result")
        with Emulator(faults=[Drop(every=5)]) as emulator:
            os.environ |= {"RUNWARE_URL": emulator.url, "RUNWARE_API_KEY": emulator.api_key}
            asyncio.run(main())
