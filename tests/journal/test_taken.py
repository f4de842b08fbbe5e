"""Test that a result stays in the journal until it is acknowledged."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from runware_ws import JournalError, TaskNotFoundError, UpscaleResult
from tests.journal.clients import in_file, left_by, snapshot
from tests.support.answers import JPEG, base64_of, error, result
from tests.support.clients import IMAGE, client_of, outcome_of, served, submitted
from tests.support.scripted import Connection, Gate, ScriptedServer, silent

pytestmark = pytest.mark.anyio
UUID4 = "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"
IMAGES = [f"https://example.com/{number}.jpg" for number in range(5)]


async def test_returning_a_result_does_not_acknowledge_it(path: Path) -> None:
    async with served(journal=path) as (_, client):
        done = await client.upscale(IMAGE)
        task = await client.submit(IMAGE)
        await task
    assert {entry.uuid for entry in in_file(path)} == {done.task_uuid, task.task_uuid}


async def test_an_acknowledged_result_leaves_the_journal(path: Path) -> None:
    async with served(journal=path) as (_, client):
        one, other = await submitted(client, 2)
        await client.drain()
        done = await one
        done.ack()
        done.ack()
    assert [entry.uuid for entry in in_file(path)] == [other.task_uuid]


async def test_saving_a_result_acknowledges_it(path: Path, tmp_path: Path) -> None:
    async def sends_an_image(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(result(task, imageBase64Data=base64_of(JPEG)))
        await connection.serve()

    async with served(sends_an_image, journal=path) as (_, client):
        done = await client.upscale(IMAGE)
        assert len(in_file(snapshot(path))) == 1
        with pytest.raises(OSError, match=r"jobs\.db"):
            await done.save(path / "no folder")
        assert await done.save(tmp_path / "saved") == tmp_path / "saved.jpg"
    assert in_file(path) == []


async def test_a_result_is_acknowledged_once_and_not_for_the_next_task_of_its_name(
    path: Path,
) -> None:
    async def answers_the_first(connection: Connection) -> None:
        await connection.accept()
        await connection.answer(*await connection.take())
        await connection.take()
        await connection.receive()

    async with served(answers_the_first, journal=path) as (server, client):
        first = await client.upscale(IMAGE, task_uuid=UUID4)
        first.ack()
        await client.submit(IMAGE, task_uuid=UUID4)
        await server.until(lambda: len(server.tasks) == 2)
        first.ack()
        await anyio.sleep(0.1)
        assert [entry.uuid for entry in in_file(snapshot(path))] == [UUID4]


async def test_cancelling_a_waiter_does_not_acknowledge_the_result(path: Path) -> None:
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
async def test_a_loop_acknowledges_an_outcome_when_it_asks_for_the_next(
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


async def test_a_loop_that_ends_leaves_nothing_in_the_journal(path: Path) -> None:
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


async def test_each_of_several_loops_acknowledges_its_own_outcomes(path: Path) -> None:
    """A loop that dies, or is slow, leaves its last outcome in the journal, whatever others do."""
    async with served(journal=path) as (_, client):
        outcomes = client.upscale_many(IMAGES)
        slow = aiter(outcomes)
        first = await anext(slow)
        assert len([one async for one in outcomes]) == 4
    assert first.result is not None
    assert [entry.uuid for entry in in_file(path)] == [first.result.task_uuid]


async def test_a_task_for_each_outcome_leaves_nothing_once_all_are_acknowledged(path: Path) -> None:
    async with served(journal=path) as (_, client):
        outcomes = client.upscale_many(IMAGES)

        async def take_one() -> None:
            (await anext(outcomes)).unwrap().ack()

        async with anyio.create_task_group() as group:
            for _ in IMAGES:
                group.start_soon(take_one)
    assert in_file(path) == []


async def test_a_recovered_result_is_acknowledged_when_the_loop_asks_for_the_next(
    path: Path, untaken: list[str]
) -> None:
    with ScriptedServer() as server:
        async with client_of(server, journal=path) as client:
            loop = aiter(client.recovered())
            first = await anext(loop)
            second = await anext(loop)
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
        (await task).ack()
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


async def test_the_result_of_a_caller_that_was_cancelled_leaves_the_journal(path: Path) -> None:
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


async def test_acknowledging_a_recovered_task_does_not_touch_the_next_of_its_name(
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
            (await (await client.attach(UUID4))).ack()
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
    assert len(left) == 5
    assert len(server.of_kind("upscale")) == 5
