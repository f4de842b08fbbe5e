"""When a result counts as taken; until then it is yielded again by the next process, once."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from runware_ws import JournalError, TaskNotFoundError, UpscaleResult
from tests.journal.clients import in_file, left_by, silent, snapshot
from tests.support.answers import error, result
from tests.support.clients import IMAGE, client_of, outcome_of, served, submitted
from tests.support.scripted import Connection, Gate, ScriptedServer

pytestmark = pytest.mark.anyio
UUID4 = "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"
IMAGES = [f"https://example.com/{number}.jpg" for number in range(5)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


async def test_a_result_of_upscale_is_taken_when_it_is_returned(path: Path) -> None:
    async with served(journal=path) as (_, client):
        await client.upscale(IMAGE)
    assert in_file(path) == []


async def test_a_result_of_a_task_is_taken_when_somebody_awaits_it(path: Path) -> None:
    async with served(journal=path) as (_, client):
        one, other = await submitted(client, 2)
        await client.drain()
        await one
        await one
    assert [entry.uuid for entry in in_file(path)] == [other.task_uuid]


async def test_a_result_is_taken_once_and_not_from_the_next_task_of_its_name(path: Path) -> None:
    async def answers_the_first(connection: Connection) -> None:
        await connection.accept()
        await connection.answer(*await connection.take())
        await connection.take()
        await connection.receive()

    async with served(answers_the_first, journal=path) as (server, client):
        first = await client.submit(IMAGE, task_uuid=UUID4)
        await first
        await client.submit(IMAGE, task_uuid=UUID4)
        await server.until(lambda: len(server.tasks) == 2)
        await first
        await anyio.sleep(0.1)
        assert [entry.uuid for entry in in_file(snapshot(path))] == [UUID4]


async def test_a_result_is_not_taken_by_whoever_is_cancelled_waiting_for_it(path: Path) -> None:
    with ScriptedServer() as server:
        async with client_of(server, journal=path) as client:
            task = await client.submit(IMAGE)
            with anyio.CancelScope() as scope:
                scope.cancel()
                await task
            await client.drain()
        async with client_of(server, journal=path) as client:
            assert len(await left_by(client)) == 1


@pytest.mark.parametrize("ordered", [False, True])
async def test_an_outcome_of_many_is_taken_when_the_next_is_asked_for(
    path: Path, ordered: bool
) -> None:
    with ScriptedServer() as server:
        async with client_of(server, journal=path) as client:
            seen = []
            async with aclosing(client.upscale_many(IMAGES, ordered=ordered)) as outcomes:
                async for outcome in outcomes:
                    seen.append(outcome.source)
                    if len(seen) == 3:
                        break
            await client.drain()
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
    assert {str(one.source) for one in left} == set(IMAGES) - set(seen[:2])
    assert len(left) == 3
    assert len(server.executed) == 5


async def test_many_that_were_all_taken_leave_nothing(path: Path) -> None:
    async with served(journal=path) as (_, client):
        assert len([one async for one in client.upscale_many(IMAGES)]) == 5
    assert in_file(path) == []


@pytest.fixture
async def untaken(path: Path) -> list[str]:
    """The UUIDs of three results that a journal holds."""
    async with served(journal=path) as (_, client):
        tasks = await submitted(client, 3)
        await client.drain()
        return [task.task_uuid for task in tasks]


async def test_a_recovered_result_is_taken_when_the_next_is_asked_for(
    path: Path, untaken: list[str]
) -> None:
    with ScriptedServer() as server:
        async with client_of(server, journal=path) as client:
            first = await anext(client.recovered())
            second = await anext(client.recovered())
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
            assert await left_by(client) == []
        async with client_of(server, journal=path) as client:
            assert await left_by(client) == []
    uuids = [one.result.task_uuid for one in (first, second, *left) if one.result is not None]
    assert uuids[1] == uuids[2] or uuids[1] in uuids[2:]
    assert set(uuids) == set(untaken)
    assert len(uuids) == 4
    assert not server.tasks  # they were in the journal


async def test_asking_for_a_recovered_result_may_be_cancelled(
    path: Path, untaken: list[str]
) -> None:
    with ScriptedServer() as server:
        async with client_of(server, journal=path) as client:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await anext(client.recovered())
            assert len(await left_by(client)) == len(untaken)


async def test_a_recovered_result_is_whole(path: Path) -> None:
    large = "QUJD" * 5_000_000

    async def sends_much(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(result(task, imageBase64Data=large, cost=0.5, unknown=[1, None]))
        await connection.serve()

    with ScriptedServer(sends_much) as server:
        async with client_of(server, journal=path) as client:
            task = await client.submit(b"an image", output_type="base64Data")
            await client.drain()
        async with client_of(server, journal=path) as client:
            (left,) = await left_by(client)
    assert left.source is None
    assert isinstance(left.result, UpscaleResult)
    assert left.result.task_uuid == task.task_uuid
    assert left.result.raw["imageBase64Data"] == large
    assert (left.result.cost, left.result.raw["unknown"]) == (0.5, [1, None])


async def test_the_uuid_of_an_untaken_result_cannot_be_used_again(
    path: Path, untaken: list[str]
) -> None:
    async with served(journal=path) as (_, client):
        with pytest.raises(ValueError, match=r"take it from recovered\(\)"):
            await client.submit(IMAGE, task_uuid=untaken[0])
        assert len(await left_by(client)) == 3
        await client.upscale(IMAGE, task_uuid=untaken[0])


async def test_nor_can_that_of_this_clients_own(path: Path) -> None:
    async with served(journal=path) as (_, client):
        task = await client.submit(IMAGE, task_uuid=UUID4)
        await client.drain()
        with pytest.raises(ValueError, match="await its task"):
            await client.submit(IMAGE, task_uuid=UUID4)
        await task
        await client.submit(IMAGE, task_uuid=UUID4)


async def test_nor_can_that_of_a_result_on_its_way_into_the_journal(path: Path) -> None:
    async with served(journal=path) as (_, client):
        for _ in range(20):
            task = await client.submit(IMAGE)
            while task.state != "settled":
                await anyio.lowlevel.checkpoint()
            with pytest.raises(ValueError, match="await its task"):
                await client.submit(IMAGE, task_uuid=task.task_uuid)
            await task


async def test_a_result_on_its_way_when_its_caller_is_cancelled_counts_as_taken(path: Path) -> None:
    async with served(journal=path) as (_, client):

        async def upscale() -> None:
            with scope:
                await client.upscale(IMAGE)

        for run in range(20):
            async with anyio.create_task_group() as group:
                scope = anyio.CancelScope()
                group.start_soon(upscale)
                while client.stats().submitted == run:
                    await anyio.lowlevel.checkpoint()
                while any(client.stats().tasks.values()):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()
            await client.drain()
    assert in_file(path) == []


async def test_a_recovered_task_that_was_awaited_is_not_taken_from_the_next_of_its_name(
    path: Path,
) -> None:
    async def runs_all_there_is(connection: Connection) -> None:
        await connection.accept()
        while True:
            for task in await connection.receive():
                await connection.send(result(task, status="success"))

    with ScriptedServer(silent, runs_all_there_is) as server:
        async with client_of(server, journal=path) as client:
            await client.submit(IMAGE, task_uuid=UUID4)
            await server.until(lambda: len(server.tasks) == 1)
        async with client_of(server, journal=path) as client:
            await (await client.attach(UUID4))
            await client.submit(IMAGE, task_uuid=UUID4)
            await client.drain()
            assert len(await left_by(client)) == 1
    assert [entry.uuid for entry in in_file(path)] == [UUID4]


async def test_attaching_to_a_task_does_not_cost_its_untaken_result(path: Path) -> None:
    async def forgets(connection: Connection) -> None:
        await connection.accept()
        await connection.answer(*await connection.take())
        while True:
            for question in await connection.receive():
                await connection.send(errors=[error("taskExpired", question)])

    with ScriptedServer(forgets) as server:
        async with client_of(server, journal=path) as client:
            await client.submit(IMAGE, task_uuid=UUID4)
            await client.drain()
            failure = await outcome_of(await client.attach(UUID4))
            assert isinstance(failure, TaskNotFoundError)
        async with client_of(server, journal=path) as client:
            (left,) = await left_by(client)
    assert left.result is not None


async def test_a_journal_that_a_client_uses_is_refused_to_a_second_one(
    path: Path, untaken: list[str]
) -> None:
    with ScriptedServer() as server:
        async with client_of(server, journal=path) as client:
            second = client_of(server, journal=path)
            with pytest.raises(JournalError, match="another client, is using it"):
                await second.connect()
            assert second.state == "closed"
            await client.upscale(IMAGE)
            assert len(await left_by(client)) == len(untaken)


@pytest.mark.parametrize("how", ["left", "cancelled"])
async def test_what_is_under_way_when_an_iteration_ends_early_goes_on(path: Path, how: str) -> None:
    gate = Gate()

    async def waits(connection: Connection) -> None:
        await connection.accept()
        first, *others = await connection.take(5)
        await connection.answer(first)
        await gate.wait()
        for task in others:
            await connection.answer(task)
        await connection.serve()

    with ScriptedServer(waits) as server:
        async with client_of(server, journal=path) as client:
            async with aclosing(client.upscale_many(IMAGES)) as outcomes:
                await anext(outcomes)
                with anyio.CancelScope() as scope:
                    if how == "cancelled":
                        scope.cancel()
                        await anext(outcomes)
            gate.open()
            await client.drain()
        assert {entry.has_result for entry in in_file(path)} == {True}
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
    assert len(left) == {"left": 5, "cancelled": 4}[how]  # it was when the next was asked for
    assert len(server.of_kind("upscale")) == 5
