"""Break the connection in every way: nothing is lost, and nothing runs twice."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

import pytest

from runware_ws import UpscaleResult, ValidationError
from tests.support.answers import Item, error, result
from tests.support.clients import IMAGE, client_of, outcome_of, served, submitted
from tests.support.scripted import Connection, Gate, Script, ScriptedServer

pytestmark = pytest.mark.anyio

Ending = Callable[[Connection], Awaitable[None]]


async def abort(connection: Connection) -> None:
    connection.abort()


async def close(connection: Connection) -> None:
    await connection.close()


async def going_away(connection: Connection) -> None:
    await connection.close(1001, "restart")


async def server_error(connection: Connection) -> None:
    await connection.close(1011)


async def break_in_a_frame(connection: Connection) -> None:
    connection.break_off('{"data": [' + " " * 100_000)
    await connection.receive()


async def send_bytes_that_are_no_frame(connection: Connection) -> None:
    connection.write_raw(b"\xff\xff\xff this is no WebSocket")
    await connection.receive()


ENDINGS: list[Ending] = [
    abort,
    close,
    going_away,
    server_error,
    break_in_a_frame,
    send_bytes_that_are_no_frame,
]


def ending(end: Ending, *, taken: int, known: bool) -> Script:
    """A script that takes tasks, which the service has then seen or not, and ends."""

    async def script(connection: Connection) -> None:
        await connection.accept()
        for task in await connection.take(taken):
            if known:
                connection.record.known[task["taskUUID"]] = task
        await end(connection)

    return script


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("end", ENDINGS)
async def test_tasks_in_flight_survive_any_end_of_their_connection(
    end: Ending, known: bool
) -> None:
    async with served(ending(end, taken=5, known=known)) as (server, client):
        tasks = await submitted(client, 5)
        outcomes = [await outcome_of(task) for task in tasks]
        assert [one.task_uuid for one in outcomes] == [task.task_uuid for task in tasks]
        sent = [task["taskUUID"] for task in server.of_kind("upscale")]
        assert len(sent) == (5 if known else 10), "sent again only if the service knew nothing"
        assert len(set(sent)) == 5, "and under the same UUID"
        assert len(server.connections) == 2
        stats = client.stats()
        assert (stats.reconnects, stats.succeeded, stats.retried) == (1, 5, 0)
        assert sum(stats.recovered.values()) == 5


async def test_what_was_never_written_is_simply_sent() -> None:
    gate = Gate()

    async def drops(connection: Connection) -> None:
        await connection.accept()
        connection.abort()

    async def waits(connection: Connection) -> None:
        (task,) = await connection.receive()
        await gate.wait()
        await connection.welcome(task)
        await connection.serve()

    async with served(drops, waits) as (server, client):
        await server.until(lambda: len(server.frames) == 2)
        tasks = await submitted(client, 3)
        assert {task.state for task in tasks} == {"queued"}
        gate.open()
        for task in tasks:
            assert isinstance(await outcome_of(task), UpscaleResult)
        assert len(server.tasks) == 3


async def test_nothing_is_written_to_a_line_that_is_known_to_be_dead(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def holds(connection: Connection) -> None:
        await connection.accept()
        await connection.take(100)

    async with served(holds, max_tasks_per_frame=1) as (server, client):
        tasks = await submitted(client, 1)  # the others are then written in one go
        await server.until(lambda: len(server.tasks) == 1)
        server.call(server.connections[0].abort)
        time.sleep(0.3)  # noqa: ASYNC251  # the end has come, and the client does not know yet
        tasks += await submitted(client, 30)
        for task in tasks:
            assert isinstance(await outcome_of(task), UpscaleResult)
    assert "socket.send() raised exception" not in caplog.text


def replaying(*, before: bool) -> Script:
    """A script that replays what was missed, before or after the reply."""

    async def script(connection: Connection) -> None:
        (task,) = await connection.receive()
        missed = [result(one) for one in connection.record.known.values()]
        if not before:
            await connection.welcome(task)
        for item in missed:
            await connection.send(item)
        if before:
            await connection.welcome(task)
        await connection.serve()

    return script


@pytest.mark.parametrize("before", [True, False])
async def test_a_replay_is_taken_before_and_after_the_reply(before: bool) -> None:
    first = ending(abort, taken=5, known=True)
    async with served(first, replaying(before=before)) as (server, client):
        tasks = await submitted(client, 5)
        for task in tasks:
            assert isinstance(await outcome_of(task), UpscaleResult)
        assert len(server.tasks) == 5, "nothing was asked or sent again"
        assert sum(client.stats().recovered.values()) == 5


async def test_a_replay_of_some_leaves_only_the_others_to_be_asked_for() -> None:
    async def replays_some(connection: Connection) -> None:
        (task,) = await connection.receive()
        await connection.welcome(task)
        known = list(connection.record.known.values())
        await connection.send(result(known[0]), result(known[3]))
        await connection.serve()

    async with served(ending(abort, taken=5, known=True), replays_some) as (server, client):
        tasks = await submitted(client, 5)
        for task in tasks:
            assert isinstance(await outcome_of(task), UpscaleResult)
        asked = {task["taskUUID"] for task in server.of_kind("getResponse")}
        assert asked == {tasks[number].task_uuid for number in (1, 2, 4)}


@pytest.mark.parametrize("known", [True, False])
async def test_a_new_session_in_place_of_the_old_one_loses_nothing(known: bool) -> None:
    async def forgets(connection: Connection) -> None:
        await connection.accept(session="5e55e55e-0000-4000-8000-000000000000")
        await connection.serve()

    async with served(ending(abort, taken=3, known=known), forgets) as (server, client):
        tasks = await submitted(client, 3)
        for task in tasks:
            assert isinstance(await outcome_of(task), UpscaleResult)
        assert len(set(server.executed)) == len(server.executed)
        assert client.session_uuid == "5e55e55e-0000-4000-8000-000000000000"


def stubborn(answer_details: Callable[[Connection, Item], Awaitable[None]]) -> Script:
    """A service that knows nothing, takes the task for known, and then gives its details."""

    async def script(connection: Connection) -> None:
        await connection.accept()
        was_sent_again = False
        while True:
            for task in await connection.receive():
                if task["taskType"] == "upscale":
                    was_sent_again = True
                    await connection.send(errors=[error("conflictTaskUUID", task)])
                elif task["taskType"] == "getTaskDetails" and was_sent_again:
                    await answer_details(connection, task)
                else:
                    await connection.send(errors=[error("taskNotFound", task)])

    return script


def details(task: Item, response: Item) -> Item:
    return {"response": response, "request": [{}], **task}


async def test_a_conflict_after_a_resend_leads_to_the_details() -> None:
    async def give(connection: Connection, task: Item) -> None:
        await connection.send(details(task, {"data": [result(task)]}))

    async with served(ending(abort, taken=1, known=False), stubborn(give)) as (server, client):
        task = await client.submit(IMAGE)
        assert isinstance(await outcome_of(task), UpscaleResult)
        kinds = [one["taskType"] for one in server.tasks]
        assert kinds.count("upscale") == 2
        assert kinds[-2:] == ["getResponse", "getTaskDetails"]
        assert {one["taskUUID"] for one in server.tasks} == {task.task_uuid}


async def test_details_of_a_failure_are_the_failure() -> None:
    async def give(connection: Connection, task: Item) -> None:
        await connection.send(details(task, {"errors": [error("invalidImage", task)]}))

    async with served(ending(abort, taken=1, known=False), stubborn(give)) as (_, client):
        failure = await outcome_of(await client.submit(IMAGE))
        assert isinstance(failure, ValidationError)
        assert failure.code == "invalidImage"


async def test_a_conflict_without_a_name_belongs_to_the_task_that_was_sent_again() -> None:
    async def unnamed(connection: Connection) -> None:
        await connection.accept()
        while (task := (await connection.receive())[0])["taskType"] != "upscale":
            await connection.send()
        await connection.send(errors=[error("conflictTaskUUID")])
        while (await connection.receive())[0]["taskType"] != "getTaskDetails":
            await connection.send()
        await connection.send(details(task | {"taskType": "getTaskDetails"}, {"data": []}))
        (again,) = await connection.take(1, "getResponse")
        await connection.send(result(again))
        await connection.serve()

    async with served(ending(abort, taken=1, known=False), unnamed) as (server, client):
        assert isinstance(await outcome_of(await client.submit(IMAGE)), UpscaleResult)
        assert len(server.of_kind("upscale")) == 2


async def test_a_uuid_of_the_callers_that_is_taken_is_the_callers_error() -> None:
    uuid = "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"
    async with served() as (_, client):
        await client.upscale(IMAGE, task_uuid=uuid)
        failure = await outcome_of(await client.submit(IMAGE, task_uuid=uuid))
        assert isinstance(failure, ValidationError)
        assert failure.code == "conflictTaskUUID"


async def test_a_silent_connection_is_found_half_open_and_replaced() -> None:
    async def falls_silent(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        connection.record.known[task["taskUUID"]] = task
        connection.stop_reading()
        await asyncio.Event().wait()

    async with served(falls_silent, keepalive=0.2, ping_timeout=0.3) as (server, client):
        assert isinstance(await outcome_of(await client.submit(IMAGE)), UpscaleResult)
        assert len(server.connections) >= 2
        assert len(server.of_kind("upscale")) == 1


GOODBYE = b"\x88\x02" + (1001).to_bytes(2)
ENDS = {
    "a goodbye": (GOODBYE, r"the server closed the connection \(1001\)"),
    "a goodbye within a message": (b"\x01\x01[" + GOODBYE, r"\(1001\)"),
    "a goodbye that is none": (b"\x88\x01\x00", "the connection broke"),
    "a frame that is none": (b"\xc1\x00", "the connection broke"),
}


@pytest.mark.parametrize(("end", "why"), ENDS.values(), ids=ENDS)
async def test_an_end_that_does_not_hang_up_is_the_end_all_the_same(end: bytes, why: str) -> None:
    async def leaves_the_line_open(connection: Connection) -> None:
        await connection.accept()
        await connection.take()
        connection.stop_reading()  # so that it does not hang up when the goodbye is returned
        connection.write_raw(end)
        await asyncio.Event().wait()

    patience = {"keepalive": 600, "ping_timeout": 600}
    async with served(leaves_the_line_open, **patience) as (server, client):
        events = client.events()
        assert isinstance(await outcome_of(await client.submit(IMAGE)), UpscaleResult)
        assert len(server.connections) == 2
        await client.aclose()
        (lost,) = [event async for event in events if event.kind == "lost"]
        assert re.search(why, lost.detail)


async def test_a_reader_that_hears_pings_but_answers_nothing_is_half_open_too() -> None:
    async def hears_only(connection: Connection) -> None:
        await connection.accept()
        await asyncio.Event().wait()

    async with served(hears_only, keepalive=0.1, ping_timeout=0.3) as (server, client):
        await server.until(lambda: len(server.connections) == 2)
        assert (await client.upscale(IMAGE)).image_url
        assert server.connections[0].tasks[1:] == [{"taskType": "ping", "ping": True}]


async def test_many_drops_in_a_row_lose_nothing() -> None:
    def hasty(results: int) -> Script:
        async def script(connection: Connection) -> None:
            await connection.accept()
            sent = 0
            while sent < results:
                await connection.answer(*await connection.receive())
                sent += 1
            connection.abort()

        return script

    with ScriptedServer(*[hasty(2) for _ in range(6)]) as server:
        async with client_of(server, max_tasks_per_frame=5, max_in_flight=100) as client:
            tasks = await submitted(client, 100)
            outcomes = [await outcome_of(task) for task in tasks]
        assert [one.task_uuid for one in outcomes] == [task.task_uuid for task in tasks]
        assert sorted(server.executed) == sorted({task.task_uuid for task in tasks})
