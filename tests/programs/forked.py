"""A program that forks while its client is open, and does things with it in the children.

    python forked.py URL BACKEND

A child exits with 0 if the client refused or did nothing; then the parent goes on using it.
"""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Callable

import anyio
import anyio.to_thread

from runware_ws import RunwareClient, UpscaleTask

IMAGE = "https://example.com/photo.jpg"


class Program:
    def __init__(self, url: str) -> None:
        self.client = RunwareClient("any key", url=url)
        self.task: UpscaleTask

    async def main(self) -> None:
        async with self.client as client:
            for deed in ("upscale", "await", "close", "new loop", "drop"):
                self.task = await client.submit(IMAGE)
                await self.fork(deed)
                await self.task
                await client.upscale(IMAGE)

    async def fork(self, deed: str) -> None:
        if deed in ("upscale", "await", "close"):
            child = os.fork()
            if not child:
                await self.in_child(deed)
        else:
            child = await anyio.to_thread.run_sync(self.fork_thread, deed)
        _, status = await anyio.to_thread.run_sync(os.waitpid, child, 0)
        if status:
            raise SystemExit(f"{deed}: the child ended with {status}")

    def fork_thread(self, deed: str) -> int:
        if not (child := os.fork()):
            self.in_thread_of_child(deed)
        return child

    async def in_child(self, deed: str) -> None:
        status = 1
        try:
            if deed == "upscale":
                await self.client.upscale(IMAGE)
            elif deed == "await":
                await self.task
            else:
                await self.client.aclose()
                status = 0
        except RuntimeError as error:
            status = 0 if "fork" in str(error) else 2
        finally:
            os._exit(status)

    def in_thread_of_child(self, deed: str) -> None:
        deeds: dict[str, Callable[[], None]] = {"new loop": self.new_loop, "drop": self.drop}
        status = 1
        try:
            deeds[deed]()
            status = 0
        finally:
            os._exit(status)

    def new_loop(self) -> None:
        # On asyncio: trio does not know of threads that are the main one of a fork.
        try:
            anyio.run(self.client.upscale, IMAGE)
        except RuntimeError as error:
            if "fork" not in str(error):
                raise
        else:
            raise AssertionError

    def drop(self) -> None:
        del self.client, self.task
        gc.collect()


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # of forks where there are threads
    url, backend = sys.argv[1:]
    anyio.run(Program(url).main, backend=backend)
