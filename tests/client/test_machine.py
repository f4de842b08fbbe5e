"""A machine that gives out: no descriptors are left, or its clock jumps."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import anyio
import pytest

from tests.support.clients import IMAGE, client_of, served
from tests.support.scripted import ScriptedServer

pytestmark = pytest.mark.anyio

DAY = 86_400.0


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Take all the descriptors that the process may have."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 30, hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for one in taken:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_client_connects_once_there_are_descriptors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with ScriptedServer() as server, anyio.fail_after(20), caplog.at_level("WARNING"):
        client = client_of(server)
        with no_descriptors_left():
            await client.connect()
            assert "Too many open files" in caplog.text
            assert client.state in ("waiting", "connecting")
        async with client:
            assert (await client.upscale(IMAGE)).image_url


@pytest.mark.parametrize("jump", [DAY, -DAY, 365 * DAY])
async def test_a_clock_that_jumps_costs_no_more_than_a_ping(
    jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    async with served(keepalive=0.1) as (server, client):
        await client.upscale(IMAGE)
        monkeypatch.setattr("time.time", lambda: real() + jump)
        pings = len(server.of_kind("ping"))
        await server.until(lambda: len(server.of_kind("ping")) > pings)
        await client.upscale(IMAGE, timeout=5)
        monkeypatch.setattr("time.time", real)
        await client.upscale(IMAGE, timeout=5)
        assert len(server.connections) == 1
        assert len(server.tasks) == 3
