"""A program that ends without closing its client.

python left_open.py URL BACKEND HOW
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import anyio

from runware_ws import RunwareClient

IMAGE = "https://example.com/photo.jpg"
kept: list[Any] = []


async def main(url: str) -> None:
    client = RunwareClient("any key", url=url)
    kept.append(client)
    await client.connect()
    await client.upscale(IMAGE)
    kept.append(await client.submit(IMAGE))
    kept.append(client.upscale_many([IMAGE] * 3))
    await anext(kept[-1])


def with_a_loop_that_is_left_open(url: str) -> None:
    kept.append(asyncio.new_event_loop())
    kept[0].run_until_complete(main(url))


def with_a_loop_that_is_closed_under_way(url: str) -> None:
    with_a_loop_that_is_left_open(url)
    kept[0].close()


if __name__ == "__main__":
    url, backend, how = sys.argv[1:]
    if how == "run":
        anyio.run(main, url, backend=backend)
    elif how == "thread":
        thread = threading.Thread(target=lambda: anyio.run(main, url, backend=backend))
        thread.start()
        thread.join()
    elif how == "open loop":
        with_a_loop_that_is_left_open(url)
    else:
        with_a_loop_that_is_closed_under_way(url)
