"""Test the events of a connection, and `drain`."""

from __future__ import annotations

import gc
from typing import Any

import anyio
import pytest

from runware_ws import ClientClosedError, InputError
from runware_ws.events import Events
from runware_ws.protocol.effects import Event
from tests.support.answers import error
from tests.support.clients import IMAGE, KEY, client_of, outcome_of, served, submitted
from tests.support.scripted import Connection, Gate, ScriptedServer, silent

pytestmark = pytest.mark.anyio


async def until(events: Any, kind: str) -> list[Event]:
    """Everything up to the next event of this kind."""
    seen: list[Event] = []
    with anyio.fail_after(20):
        async for event in events:
            seen.append(event)
            if event.kind == kind:
                break
    return seen


async def test_a_loss_a_resumption_a_reconciliation_and_the_end_are_told() -> None:
    async def drops(connection: Connection) -> None:
        await connection.accept()
        await connection.take(3)
        connection.abort()

    async with served(drops) as (server, client):
        events = client.events()
        tasks = await submitted(client, 3)
        lost, connected, reconciling = await until(events, "reconciling")
        assert lost.kind == "lost"
        assert lost.detail
        assert connected.kind == "connected"
        assert connected.resumed
        assert connected.detail == server.connections[0].session
        assert reconciling.count == 3
        for task in tasks:
            await task
        await client.aclose()
        (closed,) = [event async for event in events]
        assert closed == Event("closed", "the client was closed")


async def test_a_session_that_is_not_resumed_is_told() -> None:
    async def another_session(connection: Connection) -> None:
        await connection.accept("5a6ec0e2-6f6a-4f0c-9d0b-0c1c2e2f3a4b")
        await connection.serve()

    async with served(None, another_session) as (server, client):
        events = client.events()
        server.call(server.connections[0].abort)
        connected = (await until(events, "connected"))[-1]
        assert not connected.resumed
        assert connected.detail == client.session_uuid == "5a6ec0e2-6f6a-4f0c-9d0b-0c1c2e2f3a4b"


async def test_a_key_that_is_refused_later_is_told() -> None:
    async def refuses(connection: Connection) -> None:
        for _ in range(2):  # with the session, and without
            await connection.receive()
            await connection.send(errors=[error("invalidApiKey", taskType="authentication")])
        await silent(connection)

    async with served(None, refuses) as (server, client):
        events = client.events()
        server.call(server.connections[0].abort)
        refused = (await until(events, "key_refused"))[-1]
        assert "invalidApiKey" in refused.detail
        assert KEY not in refused.detail
        assert client.state == "key_refused"


async def test_every_listener_hears_all_and_only_what_comes_after_it() -> None:
    async with served() as (server, client):
        first = client.events()
        server.call(server.connections[0].abort)
        await until(first, "connected")
        second = client.events()
        await client.aclose()
        assert [event.kind async for event in first] == ["closed"]
        assert [event.kind async for event in second] == ["closed"]


async def test_a_reader_that_never_reads_harms_nobody() -> None:
    async with served() as (_, client):
        events = client.events()
        for listener in client._opened().driver.listeners:
            for number in range(5000):
                listener._add(Event("lost", str(number)))
        await client.upscale(IMAGE)
        assert (await anext(events)).detail == "4000"


async def test_a_reader_that_breaks_or_leaves_harms_nobody() -> None:
    async with served() as (server, client):

        async def reads() -> None:
            async for _ in client.events():
                raise ZeroDivisionError

        async def loses_the_connection() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(reads)
                await anyio.wait_all_tasks_blocked()
                server.call(server.connections[0].abort)

        with pytest.raises(ExceptionGroup):
            await loses_the_connection()
        gc.collect()
        assert not client._opened().driver.listeners
        await client.upscale(IMAGE)


async def test_reading_may_be_cancelled_and_taken_up_again() -> None:
    async with served() as (server, client):
        events = client.events()
        with anyio.move_on_after(0):
            await anext(events)
        server.call(server.connections[0].abort)
        assert [event.kind for event in await until(events, "connected")] == ["lost", "connected"]


async def test_there_are_no_events_of_a_client_that_is_not_open() -> None:
    with ScriptedServer() as server:
        client = client_of(server)
        with pytest.raises(ClientClosedError):
            client.events()
        await client.aclose()


async def test_events_that_are_read_after_the_end_are_the_last_ones() -> None:
    events = Events(lambda: None)
    events._add(Event("closed"))
    assert [event.kind async for event in events] == ["closed"]
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_draining_waits_for_all_and_takes_nothing() -> None:
    gate = Gate()

    async def answers_later(connection: Connection) -> None:
        await connection.accept()
        tasks = await connection.take(3)
        await gate.wait()
        await connection.answer(*tasks)
        await connection.serve()

    async with served(answers_later) as (_, client):
        assert await client.drain(0.1)  # there is nothing to wait for
        tasks = await submitted(client, 3)
        assert not await client.drain(0.1)
        gate.open()
        assert await client.drain(20)
        assert all(task.done for task in tasks)
        assert await client.drain()
        for task in tasks:
            await task


async def test_draining_waits_for_failures_too_and_for_what_is_submitted_meanwhile() -> None:
    async with served(None, max_in_flight=2) as (_, client), anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(client.upscale, f"https://example.com/{number}.jpg")
        await anyio.wait_all_tasks_blocked()
        assert await client.drain(20)
        assert client.stats().succeeded == 20


async def test_draining_ends_when_the_client_does() -> None:
    async with served(silent) as (_, client):
        (task,) = await submitted(client, 1)
        async with anyio.create_task_group() as group:
            group.start_soon(client.drain)
            await anyio.wait_all_tasks_blocked()
            await client.aclose()
        assert isinstance(await outcome_of(task), ClientClosedError)


async def test_draining_checks_its_timeout() -> None:
    async with served() as (_, client):
        with pytest.raises(InputError, match="timeout"):
            await client.drain(-1)
