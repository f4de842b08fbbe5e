"""A program that upscales a folder of images with a journal, and can be killed at any moment.

Started again it finishes what is left, as README says: first what `recovered` yields, by tag, then
the images that have no result. It writes a line for each thing that it has done.

    python -m tests.journal.dying MODE BACKEND
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from runware_ws import RunwareClient, UpscaleResult

__all__ = ["MODES"]

IN, OUT = Path("in"), Path("out")
Names = list[str]


async def save(name: str, result: UpscaleResult) -> None:
    """Save a result as slowly as a slow disk would."""
    await anyio.sleep(0.05)
    await result.save(OUT / name)
    tell("saved")


def tell(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


async def for_each(names: Names, function: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(function, name)


async def by_upscale(client: RunwareClient, names: Names) -> None:
    """A task for each image."""

    async def upscale(name: str) -> None:
        result = await client.upscale(IN / name, output_type="base64Data", tag=name)
        tell("done")
        await save(name, result)

    await for_each(names, upscale)


async def by_submit(client: RunwareClient, names: Names) -> None:
    """All are submitted first."""
    tasks = {}
    for name in names:
        tasks[name] = await client.submit(IN / name, output_type="base64Data", tag=name)
        tell("submitted")
    for name, task in tasks.items():
        await save(name, await task)


async def by_loop(client: RunwareClient, names: Names, **options: Any) -> None:
    """One loop over all."""
    paths = [IN / name for name in names]
    async for outcome in client.upscale_many(
        paths, output_type="base64Data", tag=lambda path: path.name, **options
    ):
        tell("done")
        await save(outcome.source.name, outcome.unwrap())


async def by_ordered_loop(client: RunwareClient, names: Names) -> None:
    await by_loop(client, names, ordered=True)


async def by_readers(client: RunwareClient, names: Names) -> None:
    """A task for each outcome, of tasks that are polled."""
    outcomes = client.upscale_many(
        [IN / name for name in names],
        output_type="base64Data",
        delivery_method="async",
        tag=lambda path: path.name,
    )

    async def read_one(_: str) -> None:
        outcome = await anext(outcomes)
        tell("done")
        await save(outcome.source.name, outcome.unwrap())

    await for_each(names, read_one)


async def by_hand(client: RunwareClient, names: Names) -> None:
    """Bytes, told apart by their tags, and written and acknowledged by the program."""

    async def upscale(name: str) -> None:
        content = await anyio.Path(IN / name).read_bytes()
        task = await client.submit(content, output_type="dataURI", output_format="PNG", tag=name)
        tell("submitted")
        result = await task
        await anyio.to_thread.run_sync(write, name, result.data)
        result.ack()
        tell("saved")

    await for_each(names, upscale)


def write(name: str, data: bytes) -> None:
    temporary = OUT / f".{name}"
    temporary.write_bytes(data)
    temporary.rename(OUT / name)


MODES: dict[str, Callable[[RunwareClient, Names], Awaitable[None]]] = {
    "upscale": by_upscale,
    "submit": by_submit,
    "loop": by_loop,
    "ordered": by_ordered_loop,
    "readers": by_readers,
    "bytes": by_hand,
}


def missing() -> Names:
    """The images that have no result."""
    done = {path.stem for path in OUT.iterdir()}
    return sorted(path.name for path in IN.iterdir() if path.stem not in done)


async def live(mode: str) -> None:
    async with RunwareClient(journal="jobs.db", max_in_flight=8) as client:
        tell("open")
        async for outcome in client.recovered():
            await save(outcome.tag, outcome.unwrap())
        await MODES[mode](client, missing())


if __name__ == "__main__":
    anyio.run(live, sys.argv[1], backend=sys.argv[2])
