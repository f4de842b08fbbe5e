"""Test finding a task again by its UUID alone."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from runware_ws import (
    ServerError,
    TaskNotFoundError,
    TaskTimeoutError,
    UpscaleResult,
    ValidationError,
)
from tests.support.answers import error, result
from tests.support.clients import IMAGE, outcome_of, served
from tests.support.scripted import Connection, Gate, silent

pytestmark = pytest.mark.anyio

UUID4 = "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"


async def test_an_attached_task_is_found_by_its_uuid_alone() -> None:
    async with served() as (server, client):
        done = await client.upscale(IMAGE)
        found = await outcome_of(await client.attach(done.task_uuid.upper()))
        assert isinstance(found, UpscaleResult)
        assert found.task_uuid == done.task_uuid
        assert len(server.of_kind("upscale")) == 1


async def test_a_task_is_found_by_a_uuid_object_too() -> None:
    async with served() as (_, client):
        done = await client.upscale(IMAGE)
        assert (await (await client.attach(UUID(done.task_uuid)))).task_uuid == done.task_uuid


async def test_attaching_to_a_task_under_way_gives_that_task() -> None:
    async with served(silent) as (server, client):
        task = await client.submit(IMAGE)
        again = await client.attach(task.task_uuid)
        assert again.task_uuid == task.task_uuid
        assert not server.of_kind("getResponse")
        again.cancel()
        assert task.done


ATTACHED: dict[str, tuple[Any, type[Exception] | type[UpscaleResult]]] = {
    "not found": (lambda task: {"errors": [error("taskNotFound", task)]}, TaskNotFoundError),
    "not found, no name": (lambda _: {"errors": [error("taskNotFound")]}, TaskNotFoundError),
    "nothing": (lambda _: {"data": []}, TaskNotFoundError),
    "failed": (lambda task: {"errors": [error("invalidImage", task)]}, ValidationError),
    "failed, no name": (lambda _: {"errors": [error("invalidImage")]}, ValidationError),
    "done": (lambda task: {"data": [result(task, status="success")]}, UpscaleResult),
}


async def test_an_error_of_the_service_is_a_failure_if_the_details_say_so() -> None:
    async def troubled(connection: Connection) -> None:
        await connection.accept()
        (question,) = await connection.take(1, "getResponse")
        trouble = {"code": "serviceUnavailable", "message": "", "taskUUID": question["taskUUID"]}
        await connection.send(errors=[trouble])
        await connection.take(1, "getTaskDetails")
        details = {"taskType": "getTaskDetails", "taskUUID": question["taskUUID"]}
        await connection.send({**details, "response": {"errors": [trouble]}})
        await connection.serve()

    async with served(troubled) as (_, client):
        assert isinstance(await outcome_of(await client.attach(UUID4)), ServerError)


@pytest.mark.parametrize("how", ATTACHED)
async def test_an_attached_task_has_every_outcome_that_a_task_has(how: str) -> None:
    reply, kind = ATTACHED[how]

    async def script(connection: Connection) -> None:
        await connection.accept()
        while True:
            for question in await connection.receive():
                if question["taskType"] == "getTaskDetails" and how.startswith("failed"):
                    failed = {"errors": [error("invalidImage")]}
                    await connection.send({**question, "response": failed})
                else:
                    await connection.send_json(reply(question))

    async with served(script) as (server, client):
        outcome = await outcome_of(await client.attach(UUID4))
        assert isinstance(outcome, kind)
        assert UUID4 in str(outcome) or UUID4 in repr(outcome)
        assert not server.of_kind("upscale")


async def test_an_attached_task_that_is_under_way_is_asked_for_until_it_is_done() -> None:
    async def works(connection: Connection) -> None:
        await connection.accept()
        for _ in range(3):
            (question,) = await connection.take(1, "getResponse")
            await connection.send({**question, "taskType": "upscale", "status": "processing"})
        (question,) = await connection.take(1, "getResponse")
        await connection.send(result(question))
        await connection.serve()

    async with served(works) as (_, client):
        assert isinstance(await outcome_of(await client.attach(UUID4)), UpscaleResult)


async def test_a_task_that_runs_again_is_found_by_the_name_that_the_caller_gave_it() -> None:
    async def fails_once(connection: Connection) -> None:
        await connection.accept()
        await connection.send(errors=[error("serviceUnavailable", *await connection.take())])
        again = await connection.take()
        await attached.wait()
        await connection.answer(*again)
        await connection.serve()

    attached = Gate()
    async with served(fails_once) as (server, client):
        task = await client.submit(IMAGE, task_uuid=UUID4)
        await server.until(lambda: len(server.tasks) == 2)
        again = await client.attach(UUID4)
        assert again.task_uuid == task.task_uuid
        attached.open()
        assert isinstance(await outcome_of(task), UpscaleResult)


async def test_attaching_survives_the_loss_of_the_connection() -> None:
    async def drops(connection: Connection) -> None:
        await connection.accept()
        await connection.take(1, "getResponse")
        connection.abort()

    async def finds(connection: Connection) -> None:
        await connection.accept()
        (question,) = await connection.take(1, "getResponse")
        await connection.send(result(question))
        await connection.serve()

    async with served(drops, finds) as (_, client):
        assert isinstance(await outcome_of(await client.attach(UUID4)), UpscaleResult)


async def test_attaching_may_time_out() -> None:
    async with served(silent) as (_, client):
        failure = await outcome_of(await client.attach(UUID4, timeout=0.1))
        assert isinstance(failure, TaskTimeoutError)
        assert failure.stage == "reconciling"
