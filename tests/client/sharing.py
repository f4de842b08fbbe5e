"""A program that upscales the same images as others do, in an order of its own.

It writes a line for each result: the number of the image, and its link.

    python -m tests.client.sharing IMAGES SEED
"""

from __future__ import annotations

import asyncio
import random
import struct
import sys
import zlib
from collections.abc import Iterator

from runware_ws import RunwareClient


def png_of(number: int) -> bytes:
    """An image of one pixel, another one for each number."""
    pixel = zlib.compress(b"\0" + number.to_bytes(3, "big"))
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixel), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def images(count: int, seed: int) -> Iterator[bytes]:
    numbers = list(range(count))
    random.Random(seed).shuffle(numbers)
    return map(png_of, numbers)


async def main(count: int, seed: int) -> None:
    numbers = {png_of(number): number for number in range(count)}
    async with RunwareClient(max_in_flight=32) as client:
        async for outcome in client.upscale_many(images(count, seed), idempotency="content"):
            sys.stdout.write(f"{numbers[outcome.source]} {outcome.unwrap().image_url}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
