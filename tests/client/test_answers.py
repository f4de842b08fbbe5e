"""Test that an answer in any shape settles the task that it names, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from runware_ws import (
    InsufficientCreditsError,
    RunwareError,
    ServerError,
    TaskError,
    UpscaleResult,
    ValidationError,
)
from tests.support.answers import Item, base64_of, error, result
from tests.support.clients import IMAGE, outcome_of, served, submitted
from tests.support.scripted import Connection, Script, replying

pytestmark = pytest.mark.anyio

MEBIBYTE = 1024 * 1024


def on_three(reply: Callable[[Item], Any]) -> Script:
    """A script that takes three tasks, sends `reply` to the second, and then results for all."""

    async def script(connection: Connection) -> None:
        await connection.accept()
        tasks = await connection.take(3)
        frame = reply(tasks[1])
        if isinstance(frame, str | bytes | tuple):
            await connection.send_raw(frame)
        else:
            await connection.send_json(frame)
        for task in tasks:
            await connection.send(result(task))
        await connection.serve()

    return script


@pytest.mark.parametrize("mebibytes", [16, pytest.param(64, marks=pytest.mark.long)])
async def test_a_result_of_megabytes_in_one_frame_arrives_whole(mebibytes: int) -> None:
    image = bytes(range(256)) * (mebibytes * MEBIBYTE // 256 * 3 // 4)
    encoded = base64_of(image)
    big = replying(lambda task: {"data": [result(task, imageBase64Data=encoded)]})
    async with served(big) as (_, client):
        upscaled = await client.upscale(IMAGE, output_type="base64Data")
        assert len(encoded) == mebibytes * MEBIBYTE
        assert await upscaled.read() == image
        assert await client.ping() < 20


def upper(task: Item) -> Item:
    return {**task, "taskUUID": task["taskUUID"].upper()}


RESULT_SHAPES: dict[str, Callable[[Item], Any]] = {
    "documented": lambda task: {"data": [result(task)]},
    "data is an object": lambda task: {"data": result(task)},
    "root is an array": lambda task: [{"data": [result(task)]}],
    "no envelope": result,
    "errors is empty": lambda task: {"data": [result(task)], "errors": []},
    "errors is null": lambda task: {"data": [result(task)], "errors": None},
    "error is false": lambda task: {"data": [result(task)], "error": False},
    "taskType of the request": lambda task: {"data": [result(task, taskType="upscale")]},
    "a foreign taskType": lambda task: {"data": [result(task, taskType="imageInference")]},
    "no taskType": lambda task: {"data": [result(task, taskType=None)]},
    "UUID in upper case": lambda task: {"data": [result(upper(task))]},
    "mediaUUID and mediaURL": lambda task: {
        "data": [
            result(
                task, imageUUID=None, imageURL=None, mediaUUID="m", mediaURL="https://a.invalid/m"
            )
        ]
    },
    "status success": lambda task: {"data": [result(task, status="success")]},
    "binary": lambda task: json.dumps({"data": [result(task)]}).encode(),
    "on one line": lambda task: json.dumps({"data": [result(task)]}, separators=(",", ":")),
    "spread over lines": lambda task: json.dumps({"data": [result(task)]}, indent="\r\n\t"),
    "in fragments": lambda task: tuple(json.dumps({"data": [result(task)]})),
    "beside a mere text": lambda task: {"data": ["hello", result(task), 5, None]},
}


@pytest.mark.parametrize("shape", RESULT_SHAPES)
async def test_a_result_in_any_shape_settles_its_task_and_only_that(shape: str) -> None:
    async with served(on_three(RESULT_SHAPES[shape])) as (server, client):
        first, second, third = await submitted(client, 3)
        outcomes = [await outcome_of(task) for task in (first, second, third)]
        assert [one.task_uuid for one in outcomes] == [
            task["taskUUID"] for task in server.of_kind("upscale")
        ]
        assert all(one.image_url and one.image_uuid for one in outcomes)
        assert outcomes[1].raw["x-served-by"] == {"name": "scripted", "unknown": [1, None]}
        await client.ping()
        stats = client.stats()
        assert (stats.succeeded, stats.failed, stats.dropped) >= (3, 0, 1)
        assert server.connections[0].closed is None


def tagged(task: Item, **members: Any) -> Item:
    return error("invalidImage", task, parameter="inputs", **members)


ERROR_SHAPES: dict[str, Callable[[Item], Any]] = {
    "documented": lambda task: {"errors": [tagged(task)]},
    "errors is an object": lambda task: {"errors": tagged(task)},
    "with data": lambda task: {"data": [], "errors": [tagged(task)]},
    "error is an object": lambda task: {"error": tagged(task)},
    "error is a list": lambda task: {"error": [tagged(task)]},
    "error is an object, the UUID beside it": lambda task: {
        "taskUUID": task["taskUUID"],
        "error": error("invalidImage", parameter="inputs"),
    },
    "root is an array": lambda task: [{"errors": [tagged(task)]}],
    "an item with status error": lambda task: {
        "data": [
            {
                "taskUUID": task["taskUUID"],
                "taskType": "upscale",
                "status": "error",
                "error": error("invalidImage", parameter="inputs"),
            }
        ]
    },
    "an item that is an error itself": lambda task: {"data": [tagged(task, status="error")]},
    "an item with a list of errors": lambda task: {
        "data": [
            {
                "taskUUID": task["taskUUID"],
                "status": "error",
                "error": [error("invalidImage", parameter="inputs")],
            }
        ]
    },
    "UUID in upper case": lambda task: {"errors": [tagged(upper(task))]},
    "parameter is a list": lambda task: {"errors": [tagged(task) | {"parameter": ["inputs"]}]},
}


@pytest.mark.parametrize("shape", ERROR_SHAPES)
async def test_an_error_in_any_shape_fails_its_task_and_only_that(shape: str) -> None:
    async with served(on_three(ERROR_SHAPES[shape])) as (_, client):
        first, second, third = await submitted(client, 3)
        outcomes = [await outcome_of(task) for task in (first, second, third)]
        refusal = outcomes[1]
        assert isinstance(refusal, ValidationError)
        assert (refusal.code, refusal.message) == ("invalidImage", "This is invalidImage.")
        assert (refusal.task_uuid, refusal.parameter) == (second.task_uuid, "inputs")
        assert second.task_uuid in str(refusal)
        assert isinstance(outcomes[0], UpscaleResult)
        assert isinstance(outcomes[2], UpscaleResult)


@pytest.mark.parametrize("with_uuid", [True, False])
async def test_a_legacy_error_fails_the_task(with_uuid: bool) -> None:
    def legacy(task: Item) -> Item:
        name = {"taskUUID": task["taskUUID"]} if with_uuid else {}
        return {"error": True, "errorId": 50, "errorMessage": "Old words", **name}

    async with served(replying(legacy), max_retries=0) as (_, client):
        failure = await outcome_of(await client.submit(IMAGE))
        assert isinstance(failure, ServerError)
        assert failure.message == "Old words"


async def test_both_halves_of_a_mixed_frame_count() -> None:
    async def mixed(connection: Connection) -> None:
        await connection.accept()
        one, two, three = await connection.take(3)
        await connection.send(
            result(one), result(three), errors=[error("insufficientCredits", two)]
        )
        await connection.serve()

    async with served(mixed) as (_, client):
        tasks = await submitted(client, 3)
        one, two, three = [await outcome_of(task) for task in tasks]
        assert one.task_uuid == tasks[0].task_uuid
        assert isinstance(two, InsufficientCreditsError)
        assert two.task_uuid == tasks[1].task_uuid
        assert three.task_uuid == tasks[2].task_uuid


async def test_the_same_result_twice_settles_once_and_is_counted() -> None:
    def twice(task: Item) -> Item | None:
        return {"data": [result(task, cost=1.0), result(task, cost=1.0)]}

    async with served(replying(twice)) as (_, client):
        upscaled = await client.upscale(IMAGE)
        assert upscaled.cost == 1.0
        await client.ping()
        stats = client.stats()
        assert (stats.succeeded, stats.dropped, stats.cost) == (1, 1, 1.0)


async def test_a_result_and_then_an_error_for_the_same_task_leaves_the_result() -> None:
    async def contradicts(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(result(task))
        await connection.send(errors=[error("inferenceError", task)])
        await connection.serve()

    async with served(contradicts) as (_, client):
        task = await client.submit(IMAGE)
        assert isinstance(await outcome_of(task), UpscaleResult)
        await client.ping()
        assert isinstance(await outcome_of(task), UpscaleResult)
        assert client.stats().dropped == 1


async def test_answers_out_of_order_find_their_tasks() -> None:
    async def backwards(connection: Connection) -> None:
        await connection.accept()
        for task in reversed(await connection.take(5)):
            await connection.send(result(task, imageUUID=task["inputs"]["image"]))
        await connection.serve()

    async with served(backwards) as (_, client):
        images = [f"https://example.com/{n}.jpg" for n in range(5)]
        tasks = [await client.submit(image) for image in images]
        assert [(await task).image_uuid for task in tasks] == images


async def test_an_answer_for_nobody_harms_nobody() -> None:
    stranger = {"taskUUID": "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b", "taskType": "upscale"}

    async def talkative(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(result(stranger))
        await connection.send({"taskType": "announcement", "text": "hello"})
        await connection.send(errors=[error("taskFailed", stranger)])
        await connection.send_json({"notice": "no envelope"})
        await connection.send_json([])
        await connection.send(result(task))
        await connection.serve()

    async with served(talkative) as (server, client):
        assert (await client.upscale(IMAGE)).image_url
        assert client.stats().failed == 0
        assert len(server.tasks) == 1


@pytest.mark.parametrize("garbage", ["{", "no JSON", "null", "7", '"text"', '{"data": 7}', ""])
async def test_a_frame_that_cannot_be_read_costs_no_result(garbage: str) -> None:
    """It may have been the result, so the server is asked for it."""

    async def garbles(connection: Connection) -> None:
        await connection.accept()
        tasks = await connection.take(2)
        await connection.send_raw(garbage)
        for task in await connection.take(2, "getResponse"):
            await connection.send(result(task))
        assert len(tasks) == 2
        await connection.serve()

    async with served(garbles) as (server, client):
        outcomes = [await outcome_of(task) for task in await submitted(client, 2)]
        assert all(isinstance(one, UpscaleResult) for one in outcomes)
        assert client.stats().garbled == 1
        assert len(server.of_kind("upscale")) == 2


async def test_an_unknown_code_is_a_plain_error_with_all_that_was_said() -> None:
    said = {"documentation": "https://runware.ai/docs", "min": 1, "novel": {"a": [2]}}
    async with served(replying(lambda task: {"errors": [error("quiteNew", task, **said)]})) as (
        _,
        client,
    ):
        failure = await outcome_of(await client.submit(IMAGE))
        assert type(failure) is TaskError
        assert isinstance(failure, RunwareError)
        assert (failure.code, failure.documentation) == ("quiteNew", "https://runware.ai/docs")
        assert failure.task_type == "upscale"
        assert failure.raw["novel"] == {"a": [2]}
        assert not failure.retryable


async def test_stray_frames_before_the_authentication_reply_are_harmless() -> None:
    async def babbles(connection: Connection) -> None:
        (task,) = await connection.receive()
        await connection.send({"taskType": "ping", "pong": True})
        await connection.send(result({"taskUUID": "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"}))
        await connection.send({"taskType": "unheardOf", "a": 1})
        await connection.send_json({})
        await connection.send_raw("not JSON at all")
        await connection.send(errors=[error("taskFailed", {"taskUUID": "x", "taskType": "y"})])
        await connection.welcome(task)
        await connection.serve()

    async with served(babbles) as (server, client):
        assert client.state == "connected"
        assert (await client.upscale(IMAGE)).image_url
        assert len(server.connections) == 1
