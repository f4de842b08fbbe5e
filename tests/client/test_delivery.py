"""Test asynchronous delivery and webhooks: acknowledged first, then polled."""

from __future__ import annotations

import json

import pytest

from runware_ws import ProviderError, TaskError, UpscaleResult
from tests.support.answers import Item, error, result
from tests.support.clients import IMAGE, outcome_of, served, submitted
from tests.support.scripted import Connection, Script

pytestmark = pytest.mark.anyio


def acknowledgment(task: Item) -> Item:
    return {"taskUUID": task["taskUUID"], "taskType": "upscale"}


def polled(*statuses: str | None, acknowledged: bool = True, count: int = 1) -> Script:
    """A script that answers polls with these in turn, and then with results.

    None is an empty answer, an error's code an error, anything else a status.
    """

    async def script(connection: Connection) -> None:
        await connection.accept()
        tasks = {task["taskUUID"]: task for task in await connection.take(count)}
        await connection.send(*map(acknowledgment, tasks.values() if acknowledged else ()))
        for status in statuses:
            for question in await connection.take(count, "getResponse"):
                task = tasks[question["taskUUID"]]
                if status is None:
                    await connection.send()
                else:
                    await connection.send({**acknowledgment(task), "status": status})
        for question in await connection.take(count, "getResponse"):
            await connection.send(result(tasks[question["taskUUID"]], status="success"))
        await connection.serve()

    return script


async def test_an_async_task_is_acknowledged_and_polled_until_it_is_done() -> None:
    async with served(polled("processing", "processing")) as (server, client):
        task = await client.submit(IMAGE, delivery_method="async")
        upscaled = await outcome_of(task)
        assert isinstance(upscaled, UpscaleResult)
        assert upscaled.task_uuid == task.task_uuid
        questions = server.of_kind("getResponse")
        assert questions == [{"taskType": "getResponse", "taskUUID": task.task_uuid}] * 3
        assert len(server.of_kind("upscale")) == 1


@pytest.mark.parametrize("status", ["processing", "pending", "queued", "PROCESSING"])
async def test_whatever_says_not_yet_is_asked_again(status: str) -> None:
    async with served(polled(status)) as (server, client):
        assert (await client.upscale(IMAGE, delivery_method="async")).image_url
        assert len(server.of_kind("upscale")) == 1


async def test_an_accepted_task_says_so() -> None:
    async def accepts(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(acknowledgment(task))
        while True:
            (question,) = await connection.take(1, "getResponse")
            await connection.send({**acknowledgment(question), "status": "processing"})

    async with served(accepts) as (server, client):
        task = await client.submit(IMAGE, delivery_method="async")
        await server.until(lambda: len(server.of_kind("getResponse")) == 3)
        assert task.state == "accepted"
        assert client.stats().tasks == {"accepted": 1}
        task.cancel()


async def test_an_empty_acknowledgment_is_enough() -> None:
    async with served(polled("processing", acknowledged=False)) as (server, client):
        assert (await client.upscale(IMAGE, delivery_method="async")).image_url
        assert len(server.of_kind("upscale")) == 1


async def test_a_webhook_task_is_found_here_all_the_same() -> None:
    async with served(polled("processing")) as (server, client):
        hook = "https://example.com/hook"
        assert (await client.upscale(IMAGE, webhook_url=hook)).image_url
        assert server.of_kind("upscale")[0]["webhookURL"] == hook


async def test_a_result_that_is_pushed_needs_no_poll() -> None:
    async def pushes(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(acknowledgment(task))
        await connection.send(result(task))
        await connection.serve()

    async with served(pushes) as (_, client):
        assert (await client.upscale(IMAGE, delivery_method="async")).image_url
        assert client.stats().succeeded == 1


async def test_all_polls_that_are_due_travel_in_one_frame() -> None:
    async with served(polled("processing", count=50), adaptive=False) as (server, client):
        tasks = await submitted(client, 50, delivery_method="async")
        for task in tasks:
            assert isinstance(await outcome_of(task), UpscaleResult)
        frames = [json.loads(frame) for frame in server.frames]
        polls = [len(frame) for frame in frames if frame[0]["taskType"] == "getResponse"]
        assert sum(polls) == 100
        assert len(polls) <= 8, polls


async def test_finished_and_failed_tasks_come_in_one_answer() -> None:
    async def both(connection: Connection) -> None:
        await connection.accept()
        one, two = await connection.take(2)
        await connection.send(acknowledgment(one), acknowledgment(two))
        await connection.take(2, "getResponse")
        failed = error("inferenceError", two, status="error")
        await connection.send(result(one, status="success"), errors=[failed])
        (question,) = await connection.take(1, "getTaskDetails")
        await connection.send({**question, "request": [two], "response": {"errors": [failed]}})
        await connection.serve()

    async with served(both) as (_, client):
        one, two = await submitted(client, 2, delivery_method="async")
        assert isinstance(await outcome_of(one), UpscaleResult)
        failure = await outcome_of(two)
        assert isinstance(failure, ProviderError)
        assert failure.task_uuid == two.task_uuid


async def test_an_async_task_that_is_refused_fails_at_once() -> None:
    async def refuses(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(errors=[error("unsupportedNovelty", task)])
        await connection.serve()

    async with served(refuses) as (server, client):
        failure = await outcome_of(await client.submit(IMAGE, delivery_method="async"))
        assert isinstance(failure, TaskError)
        assert not server.of_kind("getResponse")


async def test_a_task_that_was_acknowledged_survives_the_loss_of_its_connection() -> None:
    async def acknowledges_and_drops(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        connection.record.known[task["taskUUID"]] = task
        await connection.send(acknowledgment(task))
        await connection.take(1, "getResponse")
        connection.abort()

    async with served(acknowledges_and_drops) as (server, client):
        assert (await client.upscale(IMAGE, delivery_method="async")).image_url
        assert len(server.of_kind("upscale")) == 1
