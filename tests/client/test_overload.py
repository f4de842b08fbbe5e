"""A service without room for all: every image is delivered, and few are refused."""

from __future__ import annotations

import anyio
import pytest

from runware_ws import RateLimitError, TaskTimeoutError
from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Anonymous
from tests.emulator.bench import picture
from tests.support.answers import error
from tests.support.clients import client_of, outcome_of, served
from tests.support.scripted import Connection, Gate

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("room", [2, 8])
async def test_all_images_are_delivered_and_few_are_refused(room: int, is_named: bool) -> None:
    images = 30 * room
    faults = [] if is_named else [Anonymous()]
    async with (
        Emulator(max_running=room, latency=0.02, faults=faults) as emulator,
        client_of(emulator) as client,
    ):
        outcomes = [one async for one in client.upscale_many([picture((4, 4))] * images)]
        assert all(one.error is None for one in outcomes)
        assert emulator.executions.total() == images
        assert client.stats().limit <= room + 1
        assert client.stats().retried == 0
        assert client.stats().refused <= 14 + images * 0.2  # the first 16, and probes


async def test_where_there_is_room_the_limit_grows_and_says_so() -> None:
    async with Emulator(latency=0.02) as emulator, client_of(emulator) as client:
        events = client.events()
        async for outcome in client.upscale_many([picture((4, 4))] * 600):
            assert outcome.error is None
        assert client.stats().limit > 16
        assert client.stats().refused == 0
        async for event in events:
            if event.kind == "limit":
                assert event.count > 16
                assert "tasks may be in flight" in event.detail
                break


async def test_a_fixed_number_stays_fixed() -> None:
    async with (
        Emulator(max_running=4, latency=0.02) as emulator,
        client_of(emulator, max_in_flight=8, adaptive=False) as client,
    ):
        async for outcome in client.upscale_many([picture((4, 4))] * 40):
            assert outcome.error is None
        assert client.stats().limit == 8


@pytest.mark.parametrize("code", ["rateLimitExceeded", "serviceUnavailable", "queueFull"])
async def test_a_task_that_is_refused_again_and_again_waits_for_its_timeout(code: str) -> None:
    async def is_full(connection: Connection) -> None:
        await connection.accept()
        while True:
            (task,) = await connection.take()
            await connection.send(errors=[error(code, task, status=429)])

    async with served(is_full, max_retries=0) as (server, client):
        task = await client.submit("https://example.com/photo.jpg", timeout=0.5)
        failure = await outcome_of(task)
        assert isinstance(failure, TaskTimeoutError | RateLimitError)
        if isinstance(failure, TaskTimeoutError):
            assert "no room" in str(failure)
            assert 1 < len(server.tasks) < 60
            assert {one["taskUUID"] for one in server.tasks} == {task.task_uuid}


async def test_those_of_a_higher_priority_are_sent_first_and_nobody_starves() -> None:
    order: list[str] = []
    all_wait = Gate()

    async def one_at_a_time(connection: Connection) -> None:
        await connection.accept()
        while True:
            (task,) = await connection.take()
            await all_wait.wait()
            order.append(task["inputs"]["image"].rpartition("/")[2])
            await connection.answer(task)

    async with served(one_at_a_time, max_in_flight=1, adaptive=False) as (server, client):

        async def upscale(name: str, priority: int) -> None:
            await client.upscale(f"https://example.com/{name}", priority=priority)

        async with anyio.create_task_group() as callers:
            callers.start_soon(upscale, "first", 0)
            await server.until(lambda: server.tasks)
            for _ in range(20):
                callers.start_soon(upscale, "low", 0)
                callers.start_soon(upscale, "high", 5)
            await anyio.wait_all_tasks_blocked()
            assert client.stats().tasks["queued"] == 40, "none waits at the gate"
            all_wait.open()
    assert order[:8].count("low") <= 1
    assert order[:24].count("low") in (2, 3)
    assert order.count("low") == 20
