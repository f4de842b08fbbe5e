"""A program that has many tasks in flight, and counts the dicts that hold attributes of theirs.

    python many_tasks.py URL BACKEND

It prints for how many there is a dict, besides the values that all objects of a class have.
"""

from __future__ import annotations

import gc
import sys

import anyio

from runware_ws import RunwareClient

TASKS = 300


async def main() -> None:
    async with RunwareClient("any key", url=sys.argv[1]) as client:
        tasks = [await client.submit("https://example.com/photo.jpg") for _ in range(TASKS)]
        for task in tasks:
            await task
        dicts = [one for one in gc.get_objects() if type(one) is dict]
        sys.stdout.write(f"{sum(isinstance(one.get('wire_uuid'), str) for one in dicts)}\n")


anyio.run(main, backend=sys.argv[2])
