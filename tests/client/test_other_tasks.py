"""Run tasks that are no upscale tasks, with the same care."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from runware_ws import InputError, ProtocolError, TaskTimeoutError, ValidationError
from tests.support.answers import Item, error
from tests.support.clients import served
from tests.support.scripted import Connection

pytestmark = pytest.mark.anyio

UUID4 = "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"
SEARCH = {"taskType": "modelSearch", "search": "portrait"}


def answer(task: Item, **members: Any) -> Item:
    return {"taskType": task["taskType"], "taskUUID": task["taskUUID"], **members}


async def test_any_task_is_run_and_its_result_returned_as_received() -> None:
    async def searches(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take(kind="modelSearch")
        await connection.send(answer(task, results=[{"air": "runware:504@1"}], totalResults=1))

    async with served(searches) as (server, client):
        found = await client.run(SEARCH)
        assert found["results"] == [{"air": "runware:504@1"}]
        (sent,) = server.of_kind("modelSearch")
        assert list(sent) == ["taskType", "taskUUID", "search"]
        assert UUID(sent["taskUUID"]).version == 4
        assert found["taskUUID"] == sent["taskUUID"]


async def test_several_results_are_collected_each_once_and_an_acknowledgment_is_none() -> None:
    async def infers(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take(kind="imageInference")
        first, second = (answer(task, imageUUID=f"image {n}") for n in (1, 2))
        await connection.send(answer(task))
        await connection.send(answer(task, status="processing", progress=50))
        await connection.send(first)
        await connection.send(first)
        await connection.send(second)
        await connection.serve()

    async with served(infers) as (server, client):
        task = {"taskType": "imageInference", "taskUUID": UUID4, "numberResults": 2}
        found = await client.run(task, results=2)
        assert [one["imageUUID"] for one in found] == ["image 1", "image 2"]
        assert server.of_kind("imageInference") == [task]


async def test_a_task_in_doubt_is_asked_for_after_a_disconnect_and_not_sent_again() -> None:
    async def takes_and_drops(connection: Connection) -> None:
        await connection.accept()
        await connection.take(kind="modelSearch")

    async def knows(connection: Connection) -> None:
        await connection.accept()
        (question,) = await connection.take(kind="getResponse")
        await connection.send(answer({**question, "taskType": "modelSearch"}, totalResults=7))
        await connection.serve()

    async with served(takes_and_drops, knows) as (server, client):
        assert (await client.run(SEARCH))["totalResults"] == 7
        assert len(server.of_kind("modelSearch")) == 1


async def test_the_error_of_a_task_is_raised() -> None:
    async def refuses(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take(kind="modelSearch")
        await connection.send(errors=[error("invalidSearch", task)])
        await connection.serve()

    async with served(refuses) as (_, client):
        with pytest.raises(ValidationError, match="invalidSearch"):
            await client.run(SEARCH)


async def test_a_task_ends_by_its_timeout_and_makes_room() -> None:
    async def is_silent(connection: Connection) -> None:
        await connection.accept()
        await connection.take(kind="modelSearch")
        await connection.serve()

    async with served(is_silent) as (_, client):
        with pytest.raises(TaskTimeoutError):
            await client.run(SEARCH, timeout=0.1)
        assert await client.drain(5)


@pytest.mark.parametrize(
    ("balance", "amount"), [(12.5, 12.5), ({"amount": 3, "currency": "USD"}, 3.0)]
)
async def test_the_balance_is_read_in_both_its_forms(balance: Any, amount: float) -> None:
    async def is_rich(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take(kind="accountManagement")
        assert task["operation"] == "getDetails"
        await connection.send(answer(task, balance=balance, usage={}))

    async with served(is_rich) as (_, client):
        assert await client.balance() == amount


async def test_details_without_a_balance_are_an_error() -> None:
    async def is_vague(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take(kind="accountManagement")
        await connection.send(answer(task, balance={"mood": "good"}))

    async with served(is_vague) as (_, client):
        with pytest.raises(ProtocolError, match="no balance"):
            await client.balance()


@pytest.mark.parametrize(
    ("task", "match"),
    [
        (None, "task: is None"),
        ("modelSearch", "task: is of type str"),
        ({}, "no taskType"),
        ({"taskType": 5}, "no taskType"),
        ({"taskType": "authentication"}, "sent by the client"),
        ({"taskType": "ping"}, r"ping\(\)"),
        ({"taskType": "getResponse", "taskUUID": UUID4}, r"attach\(\)"),
        ({"taskType": "x", "taskUUID": "5"}, "task_uuid"),
        ({"taskType": "x", "value": object()}, "task: is not a JSON value"),
    ],
)
async def test_a_wrong_task_is_refused_before_anything_is_sent(task: Any, match: str) -> None:
    async with served() as (server, client):
        with pytest.raises(InputError, match=match):
            await client.run(task)
        with pytest.raises(InputError, match="results"):
            await client.run(SEARCH, results=0)
        await client.ping()
        assert len(server.frames) == 2, "the authentication and the ping"
