"""Test tasks other than upscaling: stored media, the account, the models; and other models."""

from __future__ import annotations

from typing import Any

import pytest

from runware_ws import RunwareClient
from runware_ws.emulator import Emulator
from tests.emulator.bench import Bench, new_uuid, picture, text_of, upscale
from tests.emulator.sockets import PIXELS, Client, get, post

Item = dict[str, Any]


def task(kind: str, **members: Any) -> Item:
    return {"taskType": kind, "taskUUID": new_uuid(), **members}


def ask(client: Client, one: Item) -> Item:
    """The item that answers a task."""
    client.send(one)
    (item,) = client.receive()["data"]
    assert (item["taskType"], item["taskUUID"]) == (one["taskType"], one["taskUUID"])
    assert isinstance(item, dict)
    return item


def refusal(*tasks: Item) -> tuple[str, str]:
    (frame,) = Bench().peer().send(*tasks)
    (error,) = frame["errors"]
    return error["code"], error["parameter"]


# Media


def test_media_are_stored_as_they_are_and_can_be_used_and_deleted(client: Client) -> None:
    large = picture((2100, 4))
    stored = ask(client, task("mediaStorage", operation="upload", media=text_of(large)))
    assert stored.keys() == {"taskType", "taskUUID", "operation", "mediaUUID", "mediaURL"}
    assert get(stored["mediaURL"]).content == large
    client.send(upscale(stored["mediaUUID"]))
    (made,) = client.receive()["data"]
    assert made["inputImageUUID"] == stored["mediaUUID"]
    deleted = ask(client, task("mediaStorage", operation="delete", media=stored["mediaUUID"]))
    names = deleted["operation"], deleted["mediaUUID"]
    assert names == ("delete", stored["mediaUUID"])
    assert get(stored["mediaURL"]).status_code == 404


def test_media_that_are_unknown_cannot_be_deleted(client: Client) -> None:
    client.send(task("mediaStorage", operation="delete", media=new_uuid()))
    (error,) = client.receive()["errors"]
    assert (error["code"], error["parameter"]) == ("mediaNotFound", "media")


def test_an_upload_of_media_is_run_once_and_can_be_asked_for() -> None:
    bench = Bench()
    peer = bench.peer()
    upload = task("mediaStorage", operation="upload", media=PIXELS)
    peer.send(upload)
    bench.finish()
    peer.send(upload)
    assert peer.errors[-1]["code"] == "conflictTaskUUID"
    (frame,) = peer.send(task("getResponse") | {"taskUUID": upload["taskUUID"]})
    assert frame["data"][0]["mediaURL"]
    (frame,) = peer.send(task("getTaskDetails") | {"taskUUID": upload["taskUUID"]})
    (shown,) = frame["data"][0]["request"]
    assert shown["media"] != PIXELS
    assert bench.service.history.billed == 0


@pytest.mark.parametrize(
    ("members", "code", "parameter"),
    [
        ({"operation": "upload"}, "missingMedia", "media"),
        ({"media": PIXELS}, "missingOperation", "operation"),
        ({"operation": "rename", "media": PIXELS}, "unsupportedOperation", "operation"),
        ({"operation": ["upload"], "media": PIXELS}, "unsupportedOperation", "operation"),
        ({"operation": "delete", "media": PIXELS}, "invalidMedia", "media"),
        ({"operation": "upload", "media": new_uuid()}, "invalidMedia", "media"),
        ({"operation": "upload", "media": 5}, "invalidImage", "media"),
        ({"operation": "upload", "media": PIXELS, "ttl": 60}, "unknownParameter", "ttl"),
    ],
)
def test_a_mistake_about_media_is_named(members: Item, code: str, parameter: str) -> None:
    assert refusal(task("mediaStorage", **members)) == (code, parameter)


# The account


def test_an_account_has_its_balance_and_usage_and_shows_no_key() -> None:
    with Emulator(credit=1.0, cost=0.25) as emulator, Client(emulator) as client:
        client.send(upscale(PIXELS))
        client.receive()
        details = ask(client, task("accountManagement", operation="getDetails"))
        assert details["balance"] == 0.75
        assert details["usage"]["total"] == {"credits": 0.25, "requests": 1}
        assert emulator.api_key not in str(details)
        assert {"organizationUUID", "organizationName", "team", "apiKeys"} <= details.keys()
        dates = {"startDate": "2026-01-01", "endDate": "2026-01-02"}
        activity = ask(client, task("accountManagement", operation="getUsageActivity", **dates))
        assert activity["usage"]["timeseries"]["meta"]["totalSpend"] == 0.25
        assert activity | dates == activity


@pytest.mark.parametrize(
    ("members", "code", "parameter"),
    [
        ({}, "missingOperation", "operation"),
        ({"operation": "payOut"}, "unsupportedOperation", "operation"),
        ({"operation": "getDetails", "limit": 1}, "unknownParameter", "limit"),
    ],
)
def test_a_mistake_about_the_account_is_named(members: Item, code: str, parameter: str) -> None:
    assert refusal(task("accountManagement", **members)) == (code, parameter)


# The models


def names(item: Item) -> list[str]:
    return [model["name"] for model in item["results"]]


def test_models_are_found_by_name_and_identifier_in_pages(client: Client) -> None:
    everything = ask(client, task("modelSearch"))
    assert len(everything["results"]) == everything["totalResults"] > 5
    assert names(ask(client, task("modelSearch", search="esrgan"))) == ["Real-ESRGAN"]
    assert names(ask(client, task("modelSearch", search="runware:500"))) == ["Clarity"]
    assert names(ask(client, task("modelSearch", category="lora"))) == []
    page = ask(client, task("modelSearch", limit=2, offset=1))
    assert names(page) == names(everything)[1:3]
    assert page["totalResults"] == everything["totalResults"]


@pytest.mark.parametrize(
    ("members", "code", "parameter"),
    [
        ({"limit": 0}, "invalidLimit", "limit"),
        ({"limit": 101}, "invalidLimit", "limit"),
        ({"limit": True}, "invalidLimit", "limit"),
        ({"offset": -1}, "invalidOffset", "offset"),
        ({"offset": "1"}, "invalidOffset", "offset"),
        ({"search": 5}, "invalidSearch", "search"),
        ({"query": "x"}, "unknownParameter", "query"),
    ],
)
def test_a_mistake_in_a_search_is_named(members: Item, code: str, parameter: str) -> None:
    assert refusal(task("modelSearch", **members)) == (code, parameter)


def test_questions_over_rest_have_the_same_answers(emulator: Emulator) -> None:
    first, second = task("modelSearch"), task("accountManagement", operation="getDetails")
    models, account = post(emulator, first, second).json()["data"]
    assert models["totalResults"]
    assert account["balance"]
    assert post(emulator, task("modelSearch", limit=0)).status_code == 400


# Upscaling with what is newer than the document


@pytest.mark.parametrize(
    ("model", "factor", "is_taken"),
    [
        ("runware:500@1", 2, True),
        ("runware:500@1", None, True),
        ("runware:500@1", 4, False),
        ("runware:501@1", 4, False),
        ("runware:502@1", 4, True),
        ("runware:503@1", 2, True),
        ("bria:52@1", 4, True),
        ("prunaai:p-image@upscale", 2, True),
        ("topazlabs:wonder@3.5", 4, True),
    ],
)
def test_other_models_have_their_own_factors(
    client: Client, model: str, factor: int | None, is_taken: bool
) -> None:
    client.send(upscale(PIXELS, model=model, upscaleFactor=factor))
    frame = client.receive()
    if is_taken:
        assert frame["data"][0]["imageURL"]
    else:
        (error,) = frame["errors"]
        names = error["code"], error["parameter"], error["allowedValues"]
        assert names == ("unsupportedUpscaleFactor", "upscaleFactor", [2])


def test_routing_is_passed_through(client: Client) -> None:
    routed = upscale(PIXELS, routing={"region": "eu", "providers": ["a"]})
    client.send(routed)
    assert client.receive()["data"][0]["imageURL"]
    details = ask(client, task("getTaskDetails") | {"taskUUID": routed["taskUUID"]})
    assert details["request"][0]["routing"] == routed["routing"]


@pytest.mark.anyio
async def test_the_client_runs_them_and_upscales_with_them() -> None:
    with Emulator(credit=1.0, cost=0.25) as emulator:
        async with RunwareClient(emulator.api_key, url=emulator.url) as client:
            media = {"taskType": "mediaStorage", "operation": "upload", "media": PIXELS}
            stored = await client.run(media)
            options: Any = {"model": "runware:500@1", "routing": {"region": "eu"}}
            result = await client.upscale(stored["mediaUUID"], upscale_factor=2, **options)
            assert result.input_image_uuid == stored["mediaUUID"]
            assert await client.balance() == 0.75
            found = await client.run({"taskType": "modelSearch", "search": "clarity"})
            assert found["totalResults"] == 1
