"""A client belongs to one event loop, and says so in any other; dropped, it does not stay open."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from runware_ws import RunwareClient
from tests.support.clients import IMAGE, client_of, served
from tests.support.scripted import Connection, ScriptedServer, drops_a_task

pytestmark = pytest.mark.anyio

Use = Callable[[RunwareClient], Any]


async def reads_outcomes(client: RunwareClient) -> None:
    async for outcome in client.upscale_many([IMAGE]):
        outcome.unwrap()


async def reads_events(client: RunwareClient) -> None:
    await anext(client.events())


USES: dict[str, Use] = {
    "upscale": lambda client: client.upscale(IMAGE),
    "submit": lambda client: client.submit(IMAGE),
    "run": lambda client: client.run({"taskType": "modelSearch"}),
    "ping": lambda client: client.ping(),
    "drain": lambda client: client.drain(),
    "upscale_many": reads_outcomes,
    "events": reads_events,
    "aclose": lambda client: client.aclose(),
}


@pytest.mark.parametrize("use", USES)
def test_another_event_loop_of_the_same_thread_is_refused(use: str) -> None:
    with ScriptedServer() as server:
        client = client_of(server)
        with asyncio.Runner() as home, asyncio.Runner() as other:
            home.run(client.connect())

            async def elsewhere() -> None:
                with pytest.raises(RuntimeError, match="not the running one"):
                    await asyncio.wait_for(USES[use](client), 5)

            other.run(elsewhere())
            home.run(client.upscale(IMAGE))
            home.run(client.aclose())
        assert len(server.tasks) == 1


@pytest.mark.parametrize("use", USES)
async def test_another_thread_is_refused(use: str) -> None:
    async with served() as (server, client):

        def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="in another thread"):
                asyncio.run(USES[use](client))

        await anyio.to_thread.run_sync(elsewhere)
        await client.upscale(IMAGE)
        assert len(server.tasks) == 1


def test_a_task_cannot_be_awaited_or_cancelled_in_another_event_loop() -> None:
    async def is_silent(connection: Connection) -> None:
        await connection.accept()
        await connection.take(9)

    with ScriptedServer(is_silent) as server, asyncio.Runner() as home, asyncio.Runner() as other:
        client = client_of(server)
        home.run(client.connect())
        task = home.run(client.submit(IMAGE))

        async def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="not the running one"):
                await asyncio.wait_for(task.result(), 5)
            with pytest.raises(RuntimeError, match="not the running one"):
                task.cancel()

        other.run(elsewhere())
        assert not task.done
        home.run(client.aclose())


def test_a_client_whose_event_loop_has_ended_can_be_closed_in_another_one() -> None:
    with ScriptedServer() as server:
        client = client_of(server)
        asyncio.run(client.connect())
        asyncio.run(client.aclose())
        assert client.state == "closed"


async def open_and_drop(server: ScriptedServer) -> None:
    client = client_of(server)
    await client.connect()
    await client.upscale(IMAGE)
    del client
    gc.collect()


async def drop_in_thread(server: ScriptedServer) -> None:
    kept = [client_of(server)]
    await kept[0].connect()

    def drop() -> None:
        kept.clear()
        gc.collect()

    thread = threading.Thread(target=drop)
    thread.start()
    await anyio.to_thread.run_sync(thread.join)


@pytest.mark.parametrize("drop", [open_and_drop, drop_in_thread])
async def test_a_client_that_is_dropped_warns_and_hangs_up(
    drop: Callable[[ScriptedServer], Any],
) -> None:
    with ScriptedServer() as server:
        with pytest.warns(ResourceWarning, match="never closed"):
            await drop(server)
        await server.until(lambda: server.connections[0].closed)


async def test_a_client_lives_as_long_as_its_tasks() -> None:
    with ScriptedServer(drops_a_task) as server:

        async def submit() -> Any:
            client = client_of(server)
            await client.connect()
            return await client.submit(IMAGE)

        task = await submit()
        gc.collect()
        await task
        await task._client.aclose()


@pytest.mark.parametrize("journaled", [False, True])
async def test_forty_threads_of_the_program_wait_for_the_client(
    journaled: bool, tmp_path: Any
) -> None:
    """They are all that anyio has, and the client needs some too: to read, record and connect."""
    with ScriptedServer(drops_a_task) as server:
        # A name, which takes a thread to look up.
        url = server.url.replace("127.0.0.1", "localhost")
        journal = tmp_path / "journal.db" if journaled else None
        client = RunwareClient("any key", url=url, journal=journal, doubt_window=0.1)
        async with client:

            def call(number: int) -> None:
                image = bytes(300_000) if number % 2 else IMAGE
                anyio.from_thread.run(client.upscale, image)

            with anyio.fail_after(20):
                async with anyio.create_task_group() as group:
                    for number in range(40):
                        group.start_soon(anyio.to_thread.run_sync, call, number)
        assert len(server.connections) > 1
