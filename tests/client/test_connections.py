"""Several connections on real sockets."""

from __future__ import annotations

import io
import random
from typing import Any, Literal

import anyio
import pytest
from PIL import Image

from runware_ws import Success, UpscaleTask
from runware_ws.emulator import Emulator, Relay
from runware_ws.emulator.faults import Drop
from tests.emulator.bench import picture
from tests.support.clients import client_of

pytestmark = pytest.mark.anyio


async def test_small_tasks_do_not_wait_behind_large_uploads() -> None:
    settled: list[str] = []
    async with Emulator() as emulator, Relay(emulator.url) as relay:
        relay.throttle(2_000_000, "up")
        async with client_of(emulator, url=relay.url, connections=2) as client:

            async def settle(name: str, task: UpscaleTask) -> None:
                await task.result()
                settled.append(name)

            async with anyio.create_task_group() as waiters:
                await client.upscale(picture((4, 4)))
                for _ in range(2):
                    large = await client.submit(picture((600, 600), form="BMP"))
                    waiters.start_soon(settle, "large", large)
                for _ in range(10):
                    small = await client.submit(picture((4, 4)))
                    waiters.start_soon(settle, "small", small)
            assert client.stats().connections == 2
    assert settled == ["small"] * 10 + ["large"] * 2


async def test_small_tasks_alone_keep_one_connection() -> None:
    async with Emulator() as emulator, client_of(emulator, connections=2) as client:
        async for outcome in client.upscale_many([picture((4, 4))] * 50):
            assert outcome.error is None
        assert client.stats().connections == 1


def noise(side: int, form: str) -> bytes:
    """Return a picture that no format makes smaller."""
    output = io.BytesIO()
    Image.frombytes("RGB", (side, side), random.Random(1).randbytes(side * side * 3)).save(
        output, form
    )
    return output.getvalue()


@pytest.mark.parametrize(
    ("direction", "output_type", "image", "number", "bytes_per_second"),
    [
        ("up", "URL", noise(500, "BMP"), 24, 10_000_000),
        ("down", "base64Data", noise(150, "PNG"), 12, 3_000_000),
    ],
    ids=["up", "down"],
)
async def test_large_images_use_another_connection_of_a_line_that_limits_each(
    direction: Literal["up", "down"],
    output_type: Literal["URL", "base64Data"],
    image: bytes,
    number: int,
    bytes_per_second: int,
) -> None:
    """What the relay and the system buffer is quick, whatever the line is: some megabytes upwards.

    Downwards, the line is slower than the emulator, so that the results follow each other.
    """
    async with Emulator() as emulator, Relay(emulator.url) as relay:
        relay.throttle(bytes_per_second, direction)
        async with client_of(emulator, url=relay.url, connections=2) as client:
            outcomes = client.upscale_many(
                [image] * number, output_type=output_type, output_format="PNG", upscale_factor=2
            )
            async for outcome in outcomes:
                assert outcome.error is None
            assert client.stats().connections == 2
    assert emulator.executions.total() == number


@pytest.mark.parametrize("every", [3, 7])
async def test_losing_connections_at_any_moment_loses_nothing_and_runs_nothing_twice(
    every: int,
) -> None:
    async with Emulator(latency=0.02, faults=[Drop(every=every)]) as emulator:
        async with client_of(emulator, connections=3) as client:
            results: list[object] = []

            async def upscale(output_type: Any) -> None:
                outcomes = client.upscale_many([picture((4, 4))] * 40, output_type=output_type)
                results.extend([outcome async for outcome in outcomes])

            async with anyio.create_task_group() as callers:
                for output_type in ("URL", "base64Data", "dataURI"):
                    callers.start_soon(upscale, output_type)
        assert len(results) == 120
        assert all(isinstance(one, Success) for one in results)
        assert emulator.executions.total() == len(emulator.executions) == 120
