"""A busy program that is interrupted again and again, as by Ctrl-C at a random moment.

    python program.py URL BACKEND JOURNAL ROUNDS SEED PRESSES

JOURNAL is the path of a folder for journals, or "-" for none. It prints a line for each round:
"ok" if KeyboardInterrupt came out of `anyio.run`, else what came out.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.lowlevel
import trio  # noqa: F401  # or an interrupt may leave it half imported

from runware_ws import RunwareClient

IMAGE = "https://example.com/photo.jpg"
LARGE = bytes(300_000)
PATIENCE = 5.0  # seconds from the interrupt to its coming out


async def endless() -> AsyncIterator[bytes | str]:
    while True:
        yield IMAGE
        yield b"an image"
        await anyio.lowlevel.checkpoint()


def endless_sync() -> Iterator[bytes | str]:
    while True:
        yield LARGE
        yield IMAGE


async def read_many(client: RunwareClient, folder: Path | None) -> None:
    images = endless() if folder is None else endless_sync()
    async for outcome in client.upscale_many(images, max_in_flight=20):
        outcome.unwrap()


async def repeat(client: RunwareClient, image: str | bytes) -> None:
    while True:
        await client.upscale(image)


async def ping(client: RunwareClient) -> None:
    while True:
        await client.ping()


async def main(url: str, folder: Path | None, begun: threading.Event) -> None:
    begun.set()
    journal = None if folder is None else folder / f"{time.monotonic_ns()}.db"
    async with (
        RunwareClient("any key", url=url, journal=journal) as client,
        anyio.create_task_group() as group,
    ):
        for image in (IMAGE, IMAGE, LARGE, b"small"):
            group.start_soon(repeat, client, image)
        group.start_soon(read_many, client, folder)
        group.start_soon(ping, client)
        await repeat(client, IMAGE)


def press(begun: threading.Event, delays: list[float]) -> None:
    begun.wait()
    for delay in delays:
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGINT)


def is_interrupt(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(is_interrupt(one) for one in error.exceptions)
    if str(error) == "Event loop stopped before Future completed.":
        # asyncio's own: a second Ctrl-C just when the main task is done leaves the callback behind
        # that stops the loop, and so stops the next thing that `Runner.close` waits for.
        return isinstance(error.__context__, KeyboardInterrupt)
    return isinstance(error, KeyboardInterrupt)


def attempt(url: str, backend: str, folder: Path | None, delays: list[float]) -> str:
    """Run the program once, interrupt it, and return "ok" or what came out of it."""
    begun = threading.Event()
    presser = threading.Thread(target=press, args=(begun, delays))
    faulthandler.dump_traceback_later(sum(delays) + PATIENCE, exit=True)
    presser.start()
    try:
        anyio.run(main, url, folder, begun, backend=backend)
    except BaseException as error:  # noqa: BLE001  # it is what is asked for
        failure: BaseException | None = error
    else:
        failure = None
    while presser.is_alive():
        with suppress(KeyboardInterrupt):  # those that come after the end
            presser.join()
    faulthandler.cancel_dump_traceback_later()
    if failure is None:
        return "nothing"
    if is_interrupt(failure):
        return "ok"
    traceback.print_exception(failure)
    return repr(failure)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    url, backend, journal, rounds, seed, presses = sys.argv[1:]
    rng = random.Random(int(seed))
    folder = None if journal == "-" else Path(journal)
    for _ in range(int(rounds)):
        delays = [rng.uniform(0, 0.4)] + [rng.uniform(0, 0.05) for _ in range(int(presses) - 1)]
        sys.stdout.write(attempt(url, backend, folder, delays) + "\n")
        sys.stdout.flush()
    if int(presses) > 1:
        # A second Ctrl-C while asyncio closes its loop can leave a worker thread of anyio's waiting
        # for work, and the interpreter waiting for the thread. Neither is this package's.
        os._exit(0)
