"""Let several callers wait for one thing: each of them is woken, and none hangs."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio

from runware_ws import RunwareClient
from runware_ws.runtime import concurrency
from runware_ws.runtime.concurrency import Notification
from tests.journal.clients import in_file
from tests.support.clients import IMAGE, client_of, served, submitted
from tests.support.scripted import Connection, Gate, ScriptedServer, silent

pytestmark = pytest.mark.anyio
WAITERS = 3
_WAITERS = (asyncio.Future, trio.Event)  # what is awaited, on either library
URLS = [f"https://example.com/{number}.jpg" for number in range(20)]


async def all_of(items: AsyncIterator[Any]) -> list[Any]:
    """Return what so many readers of one iterator get between them, until it has ended for each."""
    seen: list[Any] = []

    async def read() -> None:
        async for item in items:
            seen.append(item)
            await anyio.lowlevel.checkpoint()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as readers:
            for _ in range(WAITERS):
                readers.start_soon(read)
    return seen


async def test_everybody_who_drains_learns_that_all_is_settled() -> None:
    gate = Gate()

    async def answers_at_the_gate(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await gate.wait()
        await connection.answer(task)
        await connection.serve()

    drained: list[bool] = []

    async def drain(client: RunwareClient) -> None:
        drained.append(await client.drain())

    async with served(answers_at_the_gate) as (_, client):
        await client.submit(IMAGE)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as waiters:
                for _ in range(WAITERS):
                    waiters.start_soon(drain, client)
                await anyio.wait_all_tasks_blocked()
                gate.open()
    assert drained == [True] * WAITERS


async def test_waits_that_were_given_up_leave_nothing_behind() -> None:
    async with served(silent) as (_, client):
        task = await client.submit(IMAGE)
        left = []
        for _ in range(3):
            for _ in range(100):
                with anyio.move_on_after(0):
                    await task.result()
                with anyio.move_on_after(0):
                    await client.drain()
            gc.collect()
            left.append(sum(isinstance(one, _WAITERS) for one in gc.get_objects()))
    assert left[2] <= left[0]


@pytest.mark.parametrize("ordered", [True, False])
async def test_workers_share_one_iteration_and_each_of_them_ends(ordered: bool) -> None:
    async with (
        served() as (_, client),
        aclosing(client.upscale_many(URLS, ordered=ordered)) as outcomes,
    ):
        seen = await all_of(outcomes)
    assert sorted(outcome.source for outcome in seen) == sorted(URLS)


async def test_an_iteration_that_is_closed_ends_for_whoever_waits() -> None:
    async with served(silent) as (_, client):
        outcomes = client.upscale_many(URLS)

        async def close() -> None:
            await anyio.wait_all_tasks_blocked()
            await outcomes.aclose()

        async with anyio.create_task_group() as group:
            group.start_soon(close)
            assert await all_of(outcomes) == []


async def test_every_reader_of_the_events_comes_to_their_end() -> None:
    async with served() as (_, client):
        await client.upscale(IMAGE)
        events = client.events()

        async def close() -> None:
            await anyio.wait_all_tasks_blocked()
            await client.aclose()

        async with anyio.create_task_group() as group:
            group.start_soon(close)
            assert [event.kind for event in await all_of(events)] == ["closed"]


async def test_every_reader_of_what_was_recovered_comes_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with ScriptedServer(silent) as server:
        async with client_of(server, journal=path) as client:
            tasks = await submitted(client, 5)
            await server.until(lambda: len(server.tasks) == 5)
        async with client_of(server, journal=path) as client:
            seen = await all_of(client.recovered())
    assert {outcome.result.task_uuid for outcome in seen} == {task.task_uuid for task in tasks}
    assert in_file(path) == []


@pytest.mark.parametrize("ordered", [True, False])
async def test_what_several_workers_have_dealt_with_is_taken(tmp_path: Path, ordered: bool) -> None:
    path = tmp_path / "jobs.db"
    async with (
        served(journal=path) as (_, client),
        aclosing(client.upscale_many(URLS, ordered=ordered)) as outcomes,
    ):
        assert len(await all_of(outcomes)) == len(URLS)
    assert in_file(path) == []


async def test_what_a_worker_still_holds_is_not_taken_by_another(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with (
        served(journal=path) as (_, client),
        aclosing(client.upscale_many(URLS)) as outcomes,
    ):
        held = await anext(outcomes)
        async with anyio.create_task_group() as group:
            group.start_soon(all_of, outcomes)
    assert held.result is not None
    assert [entry.uuid for entry in in_file(path)] == [held.result.task_uuid]


async def test_who_was_woken_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    notification = Notification()
    looks: list[Any] = []
    wake = concurrency.wake

    def counted(waiter: Any) -> None:
        looks.append(waiter)
        wake(waiter)

    monkeypatch.setattr(concurrency, "wake", counted)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as waiters:
            for _ in range(WAITERS):
                waiters.start_soon(notification.wait)
            await anyio.wait_all_tasks_blocked()
            for _ in range(20):  # as when one frame settles many tasks
                notification.notify()
    assert len(looks) == WAITERS


async def test_a_wait_that_is_given_up_leaves_a_notification_in_order() -> None:
    notification = Notification()
    with anyio.move_on_after(0):
        await notification.wait()
    async with anyio.create_task_group() as waiters:
        waiters.start_soon(notification.wait)
        await anyio.wait_all_tasks_blocked()
        notification.notify()
        waiters.cancel_scope.cancel()  # woken, and cancelled at once
    with anyio.fail_after(20):
        async with anyio.create_task_group() as waiters:
            waiters.start_soon(notification.wait)
            await anyio.wait_all_tasks_blocked()
            notification.notify()
    assert not notification._waiters
