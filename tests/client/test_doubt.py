"""Test errors that name no task, frames that are too large, and transient failures."""

from __future__ import annotations

from typing import Any

import pytest

from runware_ws import (
    PermissionDeniedError,
    ProtocolError,
    ServerError,
    TaskError,
    TaskTimeoutError,
    UpscaleResult,
    ValidationError,
)
from tests.support.answers import Item, base64_of, error, result
from tests.support.clients import IMAGE, outcome_of, served, submitted
from tests.support.scripted import Connection, Gate, Script, drops_a_task

pytestmark = pytest.mark.anyio

BAD = "https://example.com/bad.jpg"


def unnamed(make: Any) -> Script:
    """A service that refuses one image with an error that names no task, and runs the others."""

    async def script(connection: Connection) -> None:
        await connection.accept()
        while True:
            tasks = await connection.receive()
            refused = [task for task in tasks if task.get("inputs") == {"image": BAD}]
            for task in tasks:
                if task not in refused:
                    await connection.answer(task)
            for _ in refused:
                await connection.send_json(make())

    return script


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"errors": [error("invalidImage")]},
        lambda: {"errors": [error("invalidImage", taskType="upscale")]},
        lambda: {"error": error("invalidImage")},
        lambda: {"error": True, "errorId": 50, "errorMessage": "Old words", "code": "invalidImage"},
    ],
)
async def test_an_error_without_a_name_finds_its_owner_and_harms_nobody(make: Any) -> None:
    async with served(unnamed(make)) as (server, client):
        tasks = [await client.submit(BAD if number == 3 else IMAGE) for number in range(8)]
        outcomes = [await outcome_of(task) for task in tasks]
        guilty = outcomes.pop(3)
        assert isinstance(guilty, ValidationError)
        assert guilty.task_uuid == tasks[3].task_uuid
        assert all(isinstance(one, UpscaleResult) for one in outcomes)
        assert sorted(server.executed) == sorted(
            {task.task_uuid for task in tasks} - {guilty.task_uuid}
        )
        await client.ping()


async def test_two_errors_without_names_find_both_owners() -> None:
    async with served(unnamed(lambda: {"errors": [error("invalidImage")]})) as (server, client):
        tasks = [await client.submit(BAD if number in (1, 4) else IMAGE) for number in range(6)]
        outcomes = [await outcome_of(task) for task in tasks]
        failed = [number for number, one in enumerate(outcomes) if isinstance(one, TaskError)]
        assert failed == [1, 4]
        assert len(server.executed) == 4


async def finds_nothing_until_it_is_sent_again(connection: Connection) -> Item:
    """Answer every question with "not found" until a task is sent; return the task."""
    while True:
        for task in await connection.receive():
            if task["taskType"] == "upscale":
                return task
            await connection.send(errors=[error("taskNotFound", task)])


async def test_a_task_refused_when_sent_again_keeps_its_uuid_in_case_it_came_before() -> None:
    async def has_it_from_a_detour(connection: Connection) -> None:
        await connection.accept()
        task = await finds_nothing_until_it_is_sent_again(connection)
        await connection.send(errors=[error("rateLimitExceeded", task)])
        await connection.receive()
        await connection.send(result(task))
        await connection.serve()

    async with served(drops_a_task, has_it_from_a_detour) as (server, client):
        task = await client.submit(IMAGE)
        uuid = task.task_uuid
        assert isinstance(await outcome_of(task), UpscaleResult)
        assert [one["taskUUID"] for one in server.of_kind("upscale")] == [uuid, uuid]


async def test_a_task_refused_when_sent_again_that_never_arrived_is_sent_once_more() -> None:
    async def refuses_once(connection: Connection) -> None:
        await connection.accept()
        task = await finds_nothing_until_it_is_sent_again(connection)
        await connection.send(errors=[error("rateLimitExceeded", task)])
        await connection.serve()

    async with served(drops_a_task, refuses_once) as (server, client):
        assert isinstance(await outcome_of(await client.submit(IMAGE)), UpscaleResult)
        assert len(server.of_kind("upscale")) == 3
        assert len(server.executed) == 1


async def test_new_tasks_get_through_after_the_search_for_an_owner() -> None:
    async with served(unnamed(lambda: {"errors": [error("invalidImage")]})) as (_, client):
        suspects = [await client.submit(image) for image in (IMAGE, BAD, IMAGE)]
        fresh = await submitted(client, 5)
        for task in (suspects[0], suspects[2], *fresh):
            assert isinstance(await outcome_of(task), UpscaleResult)


async def test_tasks_that_the_service_works_on_are_not_harmed_by_a_strangers_error() -> None:
    gate = Gate()

    async def working(connection: Connection) -> None:
        await connection.accept()
        tasks = await connection.take(3)
        await connection.send(errors=[error("novelty")])
        for question in await connection.take(3, "getResponse"):
            await connection.send({**question, "taskType": "upscale", "status": "processing"})
        gate.open()
        await connection.send(*map(result, tasks))
        await connection.serve()

    async with served(working) as (server, client):
        for task in await submitted(client, 3):
            assert isinstance(await outcome_of(task), UpscaleResult)
        assert len(server.of_kind("upscale")) == 3
        assert client.stats().failed == 0


async def test_a_key_that_may_not_upscale_fails_the_task_and_not_the_connection() -> None:
    async def forbids(connection: Connection) -> None:
        await connection.accept()
        await connection.take()
        await connection.send(errors=[error("forbidden", taskType="upscale")])
        await connection.serve()

    async with served(forbids) as (server, client):
        failure = await outcome_of(await client.submit(IMAGE))
        assert isinstance(failure, PermissionDeniedError)
        assert client.state == "connected"
        assert len(server.connections) == 1


async def test_a_key_refused_in_the_middle_of_work_costs_no_task() -> None:
    async def refuses(connection: Connection) -> None:
        await connection.accept()
        for task in await connection.take(2):
            connection.record.known[task["taskUUID"]] = task
        await connection.send(errors=[error("unauthorized", taskType="authentication")])
        await connection.receive()

    async with served(refuses) as (server, client):
        for task in await submitted(client, 2):
            assert isinstance(await outcome_of(task), UpscaleResult)
        assert len(server.of_kind("upscale")) == 2


async def test_an_error_about_a_ping_concerns_no_task() -> None:
    async def touchy(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(errors=[error("invalidPing", taskType="ping")])
        await connection.send(result(task))
        await connection.serve()

    async with served(touchy) as (_, client):
        assert (await client.upscale(IMAGE)).image_url


def large(task: Item) -> Item:
    """A result over the limit of `test_an_answer_over_max_size`, for one image."""
    data = bytes(400_000 if task["inputs"]["image"] == BAD else 10)
    return result(task, imageBase64Data=base64_of(data), imageURL=None)


async def sends_large(connection: Connection) -> None:
    """Runs each task once, and tells its result as often as it is asked."""
    await connection.accept()
    known = connection.record.known
    while True:
        for task in await connection.receive():
            if task["taskType"] == "upscale":
                known[task["taskUUID"]] = task
            if task["taskUUID"] in known:
                await connection.send(large(known[task["taskUUID"]]))


@pytest.mark.parametrize("others", [0, 4])
async def test_an_answer_over_max_size_fails_its_task_alone_and_names_the_limit(
    others: int,
) -> None:
    scripts = [sends_large] * 5
    async with served(*scripts, max_size=300_000) as (server, client):
        good = await submitted(client, others)
        bad = await client.submit(BAD)
        failure = await outcome_of(bad)
        assert isinstance(failure, ProtocolError)
        assert "max_size" in str(failure)
        assert bad.task_uuid in str(failure)
        for task in good:
            assert isinstance(await outcome_of(task), UpscaleResult)
        assert len(server.connections) <= 4, "and that without a loop"
        assert len(server.of_kind("upscale")) == others + 1
        assert (await client.upscale(IMAGE)).image_uuid


async def test_a_task_that_the_server_finds_too_large_fails_alone() -> None:
    async def strict(connection: Connection) -> None:
        await connection.accept()
        while True:
            for task in await connection.receive():
                if len(task.get("inputs", {}).get("image", "")) > 1000:
                    await connection.close(1009, "message too big")
                await connection.answer(task)

    async with served(*[strict] * 5, max_frame_bytes=500) as (server, client):
        good = await submitted(client, 3)
        bad = await client.submit(bytes(2000))
        failure = await outcome_of(bad)
        assert isinstance(failure, ProtocolError)
        assert "smaller image" in str(failure)
        for task in good:
            assert isinstance(await outcome_of(task), UpscaleResult)
        assert len(server.connections) <= 4
        assert (await client.upscale(IMAGE)).image_url


def failing(times: int, code: str) -> Script:
    """A service that fails the first runs of everything."""

    async def script(connection: Connection) -> None:
        await connection.accept()
        for _ in range(times):
            (task,) = await connection.take()
            await connection.send(errors=[error(code, task)])
        await connection.serve()

    return script


@pytest.mark.parametrize("code", ["rateLimitExceeded", "serviceUnavailable", "noAvailableServer"])
async def test_a_task_refused_for_lack_of_room_goes_again_under_its_own_uuid(code: str) -> None:
    """It was not run, so that is no retry."""
    async with served(failing(3, code), max_retries=0) as (server, client):
        task = await client.submit(IMAGE)
        upscaled = await outcome_of(task)
        assert isinstance(upscaled, UpscaleResult)
        assert upscaled.attempts == 1
        assert [one["taskUUID"] for one in server.of_kind("upscale")] == [task.task_uuid] * 4
        stats = client.stats()
        assert (stats.retried, stats.refused) == (0, 3)


async def test_a_uuid_that_the_service_remembers_as_refused_is_replaced() -> None:
    async def remembers(connection: Connection) -> None:
        await connection.accept()
        await connection.send(errors=[error("rateLimitExceeded", *await connection.take())])
        await connection.send(errors=[error("conflictTaskUUID", *await connection.take())])
        await connection.serve()

    async with served(remembers) as (server, client):
        task = await client.submit(IMAGE)
        uuid = task.task_uuid
        upscaled = await outcome_of(task)
        assert isinstance(upscaled, UpscaleResult)
        sent = [one["taskUUID"] for one in server.of_kind("upscale")]
        assert sent[:2] == [uuid, uuid]
        assert sent[2] != uuid
        assert upscaled.task_uuid == task.task_uuid == uuid
        assert upscaled.attempt_uuids == (uuid, sent[2])


async def test_a_task_that_is_refused_until_its_timeout_says_why() -> None:
    async with served(failing(100, "rateLimitExceeded")) as (_, client):
        failure = await outcome_of(await client.submit(IMAGE, timeout=0.5))
        assert isinstance(failure, TaskTimeoutError)
        assert "the service has no room: rateLimitExceeded" in str(failure)


async def test_a_transient_failure_is_run_again_under_a_new_uuid_and_keeps_its_name() -> None:
    async with served(failing(1, "internalServerError")) as (server, client):
        task = await client.submit(IMAGE)
        uuid = task.task_uuid
        upscaled = await outcome_of(task)
        assert isinstance(upscaled, UpscaleResult)
        assert upscaled.attempts == 2
        first, second = (one["taskUUID"] for one in server.of_kind("upscale"))
        assert first == uuid != second
        assert task.task_uuid == upscaled.task_uuid == uuid
        assert task.attempt_uuids == upscaled.attempt_uuids == (first, second)
        assert client.stats().retried == 1


async def test_when_no_retry_helps_the_error_says_how_many_there_were() -> None:
    async with served(failing(3, "internalServerError"), max_retries=1) as (server, client):
        failure = await outcome_of(await client.submit(IMAGE))
        assert isinstance(failure, ServerError)
        assert failure.attempts == 2
        assert "after 2 attempts" in str(failure)
        assert failure.retryable
        assert len(server.of_kind("upscale")) == 2


async def test_retries_can_be_switched_off() -> None:
    async with served(failing(1, "internalServerError"), max_retries=0) as (server, client):
        failure = await outcome_of(await client.submit(IMAGE))
        assert isinstance(failure, TaskError)
        assert failure.attempts == 1
        assert len(server.of_kind("upscale")) == 1


@pytest.mark.parametrize("code", ["timeout", "timeoutProvider"])
async def test_a_wait_that_ended_is_no_failure_and_runs_nothing_twice(code: str) -> None:
    """The service completes and bills such a task; so it is asked for."""

    async def stops_waiting(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(errors=[error(code, task)])
        (question,) = await connection.take(1, "getResponse")
        await connection.send(result(question))
        await connection.serve()

    async with served(stops_waiting) as (server, client):
        upscaled = await outcome_of(await client.submit(IMAGE))
        assert isinstance(upscaled, UpscaleResult)
        assert len(server.of_kind("upscale")) == 1


@pytest.mark.parametrize("answers_details", [True, False])
async def test_a_timeout_that_the_task_failed_of_is_tried_again(answers_details: bool) -> None:
    """The service says so whenever it is asked, in the details too if it has them."""

    async def fails_once(connection: Connection) -> None:
        await connection.accept()
        (first,) = await connection.take()
        failure = error("timeoutProvider", first)
        await connection.send(errors=[failure])
        while (task := (await connection.receive())[0])["taskType"] != "upscale":
            if task["taskType"] == "getResponse":
                await connection.send(errors=[error("timeoutProvider", task)])
            elif answers_details:
                await connection.send({**task, "response": {"errors": [failure]}})
            else:
                await connection.send(errors=[error("taskNotFound", task)])
        await connection.answer(task)
        await connection.serve()

    async with served(fails_once) as (server, client):
        upscaled = await outcome_of(await client.submit(IMAGE))
        assert isinstance(upscaled, UpscaleResult)
        assert upscaled.attempts == 2
        first, second = server.of_kind("upscale")
        assert first["taskUUID"] != second["taskUUID"]


@pytest.mark.parametrize("code", ["insufficientCredits", "invalidImage", "nsfwContentDetected"])
async def test_a_failure_that_will_not_pass_is_not_tried_again(code: str) -> None:
    async with served(failing(1, code)) as (server, client):
        assert isinstance(await outcome_of(await client.submit(IMAGE)), TaskError)
        assert len(server.of_kind("upscale")) == 1
