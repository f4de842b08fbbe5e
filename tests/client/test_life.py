"""Open, use and close clients in every order and from every task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import anyio
import anyio.to_thread
import pytest

from runware_ws import (
    ClientClosedError,
    ConnectionLostError,
    InputError,
    RunwareClient,
    UpscaleTask,
)
from tests.support.clients import IMAGE, KEY, client_of, outcome_of, served, submitted
from tests.support.scripted import Connection, ScriptedServer, silent

pytestmark = pytest.mark.anyio

UUID4 = "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"


@pytest.fixture
async def shared() -> AsyncIterator[tuple[ScriptedServer, RunwareClient]]:
    """An open client, as a test of somebody else's would have it."""
    async with served() as pair:
        yield pair


async def test_a_client_works_in_a_fixture(shared: Any) -> None:
    _, client = shared
    assert (await client.upscale(IMAGE)).image_url
    assert client.state == "connected"


async def test_state_session_and_repr_follow_the_life_of_a_client() -> None:
    with ScriptedServer() as server:
        client = client_of(server)
        assert (client.state, client.session_uuid) == ("new", None)
        assert client.stats().submitted == 0
        async with client as entered:
            assert entered is client
            assert (client.state, client.session_uuid) == (
                "connected",
                server.connections[0].session,
            )
            assert repr(client) == "<RunwareClient 127.0.0.1 connected, 0 in flight>"
        assert client.state == "closed"
        assert "closed" in repr(client)
        assert client.stats().state == "closed"


async def test_a_ping_takes_some_time_and_leaves_it_in_the_stats() -> None:
    async with served() as (server, client):
        assert client.stats().round_trip is None
        seconds = await client.ping()
        assert 0 <= seconds < 10
        assert client.stats().round_trip == seconds
        assert server.of_kind("ping") == [{"taskType": "ping", "ping": True}]


async def test_many_pings_at_once_all_come_back() -> None:
    async with served() as (_, client), anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(client.ping)


async def test_a_ping_ends_when_the_connection_does() -> None:
    async def drops_pings(connection: Connection) -> None:
        await connection.accept()
        await connection.receive()
        connection.abort()

    async with served(drops_pings) as (_, client):
        with pytest.raises(ConnectionLostError):
            await client.ping()
        assert (await client.upscale(IMAGE)).image_url


async def test_stats_count_what_happens() -> None:
    async with served(None, max_in_flight=1) as (server, client):
        for _ in range(3):
            await client.upscale(IMAGE, include_cost=True)
        stats = client.stats()
        assert (stats.submitted, stats.succeeded, stats.failed) == (3, 3, 0)
        assert stats.cost == pytest.approx(0.0039)
        assert stats.frames_sent == len(server.frames) == 4
        assert stats.frames_received == 4
        assert not stats.tasks
        assert (stats.reconnects, stats.retried, stats.dropped, stats.garbled) == (0, 0, 0, 0)


async def test_closing_twice_and_at_once_does_nothing_more() -> None:
    async with served() as (_, client):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(client.aclose)
        await client.aclose()
        assert client.state == "closed"


async def test_closing_says_goodbye() -> None:
    with ScriptedServer() as server:
        async with client_of(server) as client:
            await client.upscale(IMAGE)
        await server.until(lambda: server.connections[0].closed)
        assert server.connections[0].closed in (1000, 1001)


async def test_closing_fails_what_waits_and_names_it() -> None:
    async with served(silent, max_in_flight=3) as (server, client):
        tasks = await submitted(client, 3)
        await server.until(lambda: len(server.tasks) == 3)
        failures: list[Exception] = []

        async def one_more() -> None:
            with pytest.raises(ClientClosedError) as caught:
                await client.upscale(IMAGE)
            failures.append(caught.value)

        async with anyio.create_task_group() as group:
            group.start_soon(one_more)
            await anyio.wait_all_tasks_blocked()
            await client.aclose()
        assert len(failures) == 1
        for task in tasks:
            error = await outcome_of(task)
            assert isinstance(error, ClientClosedError)
            assert error.task_uuid == task.task_uuid
            assert task.task_uuid in str(error)
            assert task.done


async def test_leaving_by_an_exception_does_not_hang() -> None:
    with ScriptedServer(silent) as server:
        tasks: list[UpscaleTask] = []

        async def fail() -> None:
            async with client_of(server) as client:
                tasks.append(await client.submit(IMAGE))
                raise ZeroDivisionError

        with anyio.fail_after(5), pytest.raises(ZeroDivisionError):
            await fail()
        assert isinstance(await outcome_of(tasks[0]), ClientClosedError)


async def test_leaving_by_cancellation_does_not_hang() -> None:
    with ScriptedServer(silent) as server:
        client = client_of(server)
        with anyio.fail_after(5), anyio.move_on_after(0) as scope:
            await client.connect()
            async with client:
                await client.upscale(IMAGE)
        assert scope.cancelled_caught
        assert client.state == "closed"


async def test_closing_returns_when_the_server_is_deaf() -> None:
    async def goes_deaf(connection: Connection) -> None:
        await connection.accept()
        await connection.take()
        connection.stop_reading()
        await asyncio.Event().wait()

    with ScriptedServer(goes_deaf) as server:
        client = client_of(server)
        await client.connect()
        await submitted(client, 1)
        await server.until(lambda: server.tasks)
        await client.submit(bytes(20_000_000))  # more than the buffers on the line hold
        with anyio.fail_after(5):
            await client.aclose()
        assert client.state == "closed"


async def use(client: RunwareClient, how: str) -> None:
    match how:
        case "upscale":
            await client.upscale(IMAGE)
        case "submit":
            await client.submit(IMAGE)
        case "attach":
            await client.attach(UUID4)
        case "ping":
            await client.ping()
        case _:
            async for outcome in client.upscale_many([IMAGE]):
                raise outcome.error or AssertionError


WAYS = ("upscale", "submit", "attach", "ping", "upscale_many")


@pytest.mark.parametrize("how", WAYS)
async def test_a_client_that_was_never_opened_says_how_to(how: str) -> None:
    client = RunwareClient(KEY, url="ws://127.0.0.1:1/v1")
    with pytest.raises(ClientClosedError, match="`with` block"):
        await use(client, how)
    await client.aclose()
    assert client.state == "closed"


@pytest.mark.parametrize("how", WAYS)
async def test_a_closed_client_refuses(how: str) -> None:
    async with served() as (_, client):
        await client.aclose()
        with pytest.raises(ClientClosedError, match="closed"):
            await use(client, how)


async def test_a_closed_client_cannot_be_opened_again() -> None:
    async with served() as (_, client):
        await client.aclose()
        with pytest.raises(ClientClosedError, match="make a new one"):
            await client.connect()


async def test_opening_fails_when_the_client_is_closed_meanwhile() -> None:
    async def is_silent(connection: Connection) -> None:
        await connection.take(1)

    with ScriptedServer(is_silent) as server:
        client = client_of(server)
        async with anyio.create_task_group() as group:

            async def close() -> None:
                await server.until(lambda: server.frames)
                await client.aclose()

            group.start_soon(close)
            with pytest.raises(ClientClosedError):
                await client.connect()


async def test_several_clients_share_a_loop_and_nothing_else() -> None:
    with ScriptedServer() as server:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(client_of(server)) for _ in range(5)]
            assert len({client.session_uuid for client in clients}) == 5
            for client in clients:
                await client.upscale(IMAGE)
            await clients[0].aclose()
            assert [client.state for client in clients[1:]] == ["connected"] * 4
            await clients[4].upscale(IMAGE)
        assert len(server.connections) == 5


async def test_a_client_refuses_the_event_loop_of_another_thread_and_goes_on() -> None:
    async with served() as (_, client):

        def elsewhere() -> None:
            asyncio.run(client.upscale(IMAGE))

        with pytest.raises(RuntimeError, match="in another thread"):
            await anyio.to_thread.run_sync(elsewhere)
        await client.upscale(IMAGE)


async def test_a_client_is_opened_in_one_task_and_closed_in_another() -> None:
    with ScriptedServer() as server:
        stack = AsyncExitStack()
        opened: list[RunwareClient] = []

        async def open_it() -> None:
            opened.append(await stack.enter_async_context(client_of(server)))

        async with anyio.create_task_group() as group:
            group.start_soon(open_it)
        async with anyio.create_task_group() as group:
            group.start_soon(opened[0].upscale, IMAGE)
        async with anyio.create_task_group() as group:
            group.start_soon(stack.aclose)
        assert opened[0].state == "closed"
        assert len(server.executed) == 1


async def test_a_task_is_awaited_by_many_and_again() -> None:
    async with served() as (_, client):
        task = await client.submit(IMAGE)
        results: list[Any] = []

        async def wait() -> None:
            results.append(await task)

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(wait)
        assert len({id(one) for one in results}) == 1
        assert await task.result() is results[0]
        assert task.state == "settled"
        assert repr(task) == f"<UpscaleTask {task.task_uuid} settled>"


async def test_pings_keep_an_idle_connection_alive() -> None:
    async with served(keepalive=0.05) as (server, client):
        await server.until(lambda: len(server.of_kind("ping")) >= 3)
        assert len(server.connections) == 1
        assert client.state == "connected"


async def test_an_attached_task_needs_a_uuid() -> None:
    async with served() as (_, client):
        for wrong in ("", "x", None, 5, UUID4[:-1]):
            with pytest.raises(InputError, match="task_uuid"):
                await client.attach(wrong)  # type: ignore[arg-type]  # what a checker would refuse
