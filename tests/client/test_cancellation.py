"""Cancel callers at every point: the connection and all other tasks stay whole."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import pytest

from runware_ws import ClientClosedError, RunwareClient, TaskCancelledError, UpscaleResult
from tests.support.answers import result
from tests.support.clients import IMAGE, client_of, outcome_of, served, submitted
from tests.support.scripted import Connection, Gate, ScriptedServer, drops_a_task

pytestmark = pytest.mark.anyio


async def cancelled_after(steps: int, function: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Start `function`, let it run for so many turns of the event loop, and cancel it."""
    async with anyio.create_task_group() as group:
        group.start_soon(function)
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()


async def assert_whole(client: RunwareClient, *, room: int) -> None:
    """The connection works, and as many tasks as ever find room at once."""
    with anyio.fail_after(10):
        tasks = await submitted(client, room)
        for task in tasks:
            assert isinstance(await outcome_of(task), UpscaleResult)
        await client.ping()
    stats = client.stats()
    assert (sum(stats.tasks.values()), stats.waiting, stats.reconnects) == (0, 0, 0)
    assert repr(client).endswith("0 in flight>")


async def test_a_caller_cancelled_at_any_step_leaves_the_client_whole(tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(bytes(100_000))
    images: list[Any] = [IMAGE, bytes(100_000), file]
    async with served(max_in_flight=2) as (_, client):
        for image in images:
            for steps in range(12):
                await cancelled_after(steps, lambda image=image: client.upscale(image))  # type: ignore[misc]  # a default binds the loop's value
        await assert_whole(client, room=2)


async def test_a_caller_cancelled_while_it_waits_for_room_is_forgotten() -> None:
    gate = Gate()

    async def holds(connection: Connection) -> None:
        await connection.accept()
        tasks = await connection.take(2)
        await gate.wait()
        await connection.send(*map(result, tasks))
        await connection.serve()

    async with served(holds, max_in_flight=2) as (server, client):
        tasks = await submitted(client, 2)
        for steps in range(5):
            await cancelled_after(steps, lambda: client.upscale(IMAGE))
        assert client.stats().waiting == 0
        gate.open()
        for task in tasks:
            assert isinstance(await outcome_of(task), UpscaleResult)
        await assert_whole(client, room=2)
        assert len(server.tasks) == 4


async def test_a_caller_cancelled_while_another_leaves_gives_its_room_back() -> None:
    """The moment between being admitted and noticing it."""
    async with served(max_in_flight=1) as (_, client):
        for steps in range(15):
            first = await client.submit(IMAGE)
            async with anyio.create_task_group() as group:
                group.start_soon(client.upscale, IMAGE)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                first.cancel()
                group.cancel_scope.cancel()
        await assert_whole(client, room=1)


async def test_a_waiter_cancelled_leaves_its_task_and_the_other_waiters() -> None:
    gate = Gate()

    async def holds(connection: Connection) -> None:
        await connection.accept()
        tasks = await connection.take(2)
        await gate.wait()
        await connection.send(*map(result, tasks))
        await connection.serve()

    async with served(holds) as (_, client):
        first, second = await submitted(client, 2)
        outcomes: list[Any] = []

        async def wait() -> None:
            outcomes.append(await outcome_of(first))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await cancelled_after(3, first.result)
            assert not first.done
            gate.open()
        assert isinstance(outcomes[0], UpscaleResult)
        assert isinstance(await outcome_of(second), UpscaleResult)


async def test_a_cancelled_task_is_settled_and_its_late_result_dropped() -> None:
    gate = Gate()

    async def late(connection: Connection) -> None:
        await connection.accept()
        one, two = await connection.take(2)
        await gate.wait()
        await connection.send(result(one))
        await connection.send(result(two))
        await connection.serve()

    async with served(late) as (server, client):
        one, two = await submitted(client, 2)
        await server.until(lambda: len(server.tasks) == 2)
        one.cancel()
        one.cancel()
        assert (one.state, one.done) == ("settled", True)
        failure = await outcome_of(one)
        assert isinstance(failure, TaskCancelledError)
        assert failure.task_uuid == one.task_uuid
        gate.open()
        assert isinstance(await outcome_of(two), UpscaleResult)
        assert client.stats().dropped == 1
        two.cancel()
        assert isinstance(await outcome_of(two), UpscaleResult)


async def test_a_task_cancelled_before_it_was_written_is_never_sent() -> None:
    gate = Gate()

    async def slow_to_accept(connection: Connection) -> None:
        (task,) = await connection.receive()
        await gate.wait()
        await connection.welcome(task)
        await connection.serve()

    with ScriptedServer(slow_to_accept) as server:
        client = client_of(server)
        async with anyio.create_task_group() as group:
            group.start_soon(client.connect)
            await server.until(lambda: server.frames)
            unwanted, wanted = await submitted(client, 2)
            unwanted.cancel()
            gate.open()
            await outcome_of(wanted)
        assert [task["taskUUID"] for task in server.tasks] == [wanted.task_uuid]
        await client.aclose()


async def test_connecting_may_be_cancelled_at_any_step() -> None:
    with ScriptedServer() as server:
        for steps in range(40):
            client = client_of(server)
            with anyio.fail_after(5):
                await cancelled_after(steps, client.connect)
            if client.state != "closed":  # it was opened in time
                await client.upscale(IMAGE)
            await client.aclose()
            assert client.state == "closed"
            with pytest.raises(ClientClosedError):
                await client.ping()


async def test_a_client_may_be_closed_at_any_step_of_connecting() -> None:
    with ScriptedServer() as server:
        for steps in range(40):
            client = client_of(server)
            async with anyio.create_task_group() as group:
                group.start_soon(connect_or_be_closed, client)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                with anyio.fail_after(5):
                    await client.aclose()
                assert client.state == "closed"
            await anyio.wait_all_tasks_blocked()
            assert client.state == "closed"


async def connect_or_be_closed(client: RunwareClient) -> None:
    try:
        await client.connect()
    except ClientClosedError:
        return


async def test_a_client_may_be_closed_at_any_step_of_reconnecting() -> None:
    for steps in range(0, 40, 2):
        with ScriptedServer(drops_a_task) as server:
            client = client_of(server)
            await client.connect()
            task = await client.submit(IMAGE)
            await server.until(lambda connection=server.connections[0]: connection.closed)  # type: ignore[misc]  # a default binds the loop's value
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            with anyio.fail_after(5):
                await client.aclose()
            assert client.state == "closed"
            assert task.done
