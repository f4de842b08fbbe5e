"""Test requests: each member is sent as given, and nothing that the service would refuse."""

from __future__ import annotations

import json
from inspect import signature
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from runware_ws import InputError, RunwareClient, UpscaleOptions
from runware_ws.options import request_template
from tests.support.answers import error, result
from tests.support.clients import IMAGE, KEY, client_of, served, submitted
from tests.support.scripted import Connection, Gate, ScriptedServer

pytestmark = pytest.mark.anyio

UUID4 = "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"
# Every member of the OpenAPI document with two values: argument, value, name on the wire.
GIVEN: list[tuple[str, Any, str]] = [
    ("upscale_factor", 2, "upscaleFactor"),
    ("upscale_factor", 4, "upscaleFactor"),
    ("output_type", "URL", "outputType"),
    ("output_type", "base64Data", "outputType"),
    ("output_type", "dataURI", "outputType"),
    ("output_format", "JPG", "outputFormat"),
    ("output_format", "PNG", "outputFormat"),
    ("output_format", "WEBP", "outputFormat"),
    ("output_quality", 20, "outputQuality"),
    ("output_quality", 99, "outputQuality"),
    ("ttl", 60, "ttl"),
    ("ttl", 10**9, "ttl"),
    ("include_cost", True, "includeCost"),
    ("include_cost", False, "includeCost"),
    ("webhook_url", "https://example.com/hook?token=a%20b&c=\u0064#e", "webhookURL"),
    ("upload_endpoint", "http://127.0.0.1:8080/put?X-Sig=abc", "uploadEndpoint"),
    ("delivery_method", "sync", "deliveryMethod"),
    ("delivery_method", "async", "deliveryMethod"),
    ("task_uuid", UUID4, "taskUUID"),
]
WRONG: list[tuple[str, Any]] = [
    *[("upscale_factor", value) for value in (0, 1, 3, 8, -2, 2.5, "4", True, [4])],
    *[("output_type", value) for value in ("url", "base64", "", 1, b"URL")],
    *[("output_format", value) for value in ("jpg", "JPEG", "GIF", "", 1)],
    *[("output_quality", value) for value in (19, 100, 0, -95, 95.0, "95", True)],
    *[("ttl", value) for value in (59, 0, -60, 60.0, "60", True, 2**64)],
    *[("include_cost", value) for value in (1, 0, "true", "yes")],
    *[("webhook_url", value) for value in ("", "example.com", "ftp://a.b/c", "http://", 5)],
    ("webhook_url", "https://exa mple.com"),
    ("webhook_url", "https://example.com:99999/"),
    ("webhook_url", "https://example.com/\udcff"),
    *[("upload_endpoint", value) for value in ("", "/path", "s3://bucket/key", b"http://a.b")],
    *[("delivery_method", value) for value in ("Sync", "push", "", True)],
    *[("task_uuid", value) for value in ("", "x", UUID4.replace("-", ""), 5)],
    ("task_uuid", "0d1e6d06-25f4-1a27-bbfd-1f1d4dfe6c9b"),  # version 1
    ("task_uuid", "0d1e6d06-25f4-4a27-0bfd-1f1d4dfe6c9b"),  # not that variant
    *[("timeout", value) for value in (0, -1, float("nan"), float("inf"), 10**400, "5", True)],
]


async def test_the_first_frame_is_the_documented_array_and_nothing_more() -> None:
    async with served() as (server, _):
        (frame,) = server.frames
        assert isinstance(frame, str), "a text frame"
        assert json.loads(frame) == [{"taskType": "authentication", "apiKey": KEY}]


async def test_a_task_is_sent_with_the_documented_members() -> None:
    async with served() as (server, client):
        await client.upscale(IMAGE)
        assert isinstance(server.frames[1], str), "a text frame"
        (task,) = server.tasks
        assert UUID(task.pop("taskUUID")).version == 4
        assert task == {
            "taskType": "upscale",
            "model": "runware:504@1",
            "upscaleFactor": 4,
            "inputs": {"image": IMAGE},
        }


@pytest.mark.parametrize(("argument", "value", "member"), GIVEN)
async def test_each_member_is_sent_exactly_as_given(argument: str, value: Any, member: str) -> None:
    async with served() as (server, client):
        task = await client.submit(IMAGE, **{argument: value})
        await server.until(lambda: server.of_kind("upscale"))
        sent = server.of_kind("upscale")[0]
        extra = {member: value}
        expected = {"upscaleFactor": 4, "inputs": {"image": IMAGE}, "model": "runware:504@1"}
        rest = {name for name in sent if name not in expected | extra}
        assert sent | expected | extra == sent
        assert rest <= {"taskType", "taskUUID"}
        assert type(sent[member]) is type(value)
        assert task.task_uuid == sent["taskUUID"]


async def test_all_members_travel_together() -> None:
    every = {argument: value for argument, value, _ in GIVEN} | {"output_type": "URL"}
    async with served() as (server, client):
        await client.submit(IMAGE, **every)
        await server.until(lambda: server.of_kind("upscale"))
        names = {member for _, _, member in GIVEN} | {"taskType", "model", "inputs"}
        assert set(server.of_kind("upscale")[0]) == names


@pytest.mark.parametrize("argument", sorted({argument for argument, _, _ in GIVEN}))
async def test_none_stands_for_not_given(argument: str) -> None:
    async with served() as (server, client):
        options: Any = {argument: None}
        await client.upscale(IMAGE, **options)
        (task,) = server.tasks
        assert set(task) - {"upscaleFactor"} == {"taskType", "taskUUID", "model", "inputs"}
        assert ("upscaleFactor" in task) == (argument != "upscale_factor")


def test_each_option_is_a_parameter_of_every_method_and_a_key_of_the_dictionary() -> None:
    options = {argument for argument, _, _ in GIVEN} - {"task_uuid"}
    options |= {"model", "routing", "extra_members"}
    assert set(UpscaleOptions.__annotations__) == options | {"timeout"}
    for method in (RunwareClient.upscale, RunwareClient.submit, RunwareClient.upscale_many):
        assert options <= signature(method).parameters.keys()
    assert signature(request_template).parameters.keys() == options | {"settings"}


async def test_every_limit_is_checked_before_anything_is_sent() -> None:
    async with served() as (server, client):
        for argument, value in WRONG:
            with pytest.raises(InputError) as caught:
                await client.submit(IMAGE, **{argument: value})
            assert caught.value.parameter == argument, (argument, value)
            assert argument in str(caught.value)
            assert isinstance(caught.value, ValueError)
            assert caught.value.remedy
        await client.ping()
        assert not server.tasks
        assert client.stats().submitted == 0


@pytest.mark.parametrize("name", ["upscaleFactor", "webhookURL", "time_out", "number_results"])
async def test_an_unknown_option_is_refused_by_name_before_anything_is_sent(name: str) -> None:
    async with served() as (server, client):
        options: Any = {name: 2}
        for call in (client.upscale, client.submit):
            with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
                await call(IMAGE, **options)
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
            client.upscale_many([IMAGE], **options)
        assert not server.tasks


async def test_model_routing_and_further_members_are_passed_on() -> None:
    async with served() as (server, client):
        await client.upscale(
            IMAGE,
            upscale_factor=2,
            model="runware:501@1",
            routing={"region": "eu"},
            extra_members={"denoise": 0.5, "seed": None},
        )
        (task,) = server.tasks
        assert task["model"] == "runware:501@1"
        assert task["routing"] == {"region": "eu"}
        assert task["denoise"] == 0.5
        assert task["seed"] is None


DOORS: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "model"),
    ({"model": 504}, "model"),
    ({"model": "runware:501@1", "upscale_factor": 4}, "upscale_factor"),
    ({"model": "runware:500@1", "upscale_factor": 4}, "upscale_factor"),
    ({"routing": "eu"}, "routing"),
    ({"routing": {"a": object()}}, "routing"),
    ({"extra_members": [("a", 1)]}, "extra_members"),
    ({"extra_members": {5: 1}}, "extra_members"),
    ({"extra_members": {"taskUUID": UUID4}}, "extra_members"),
    ({"extra_members": {"upscaleFactor": 2}}, r"extra_members.*upscale_factor="),
    ({"extra_members": {"routing": {}}}, "extra_members"),
    ({"extra_members": {"a": object()}}, "extra_members"),
    ({"extra_members": {"a": "\ud800"}}, "extra_members"),
]


@pytest.mark.parametrize(("options", "match"), DOORS)
async def test_what_no_request_can_hold_is_refused_by_name(
    options: dict[str, Any], match: str
) -> None:
    async with served() as (server, client):
        with pytest.raises(InputError, match=match):
            await client.submit(IMAGE, **options)
        await client.ping()
        assert not server.tasks


@pytest.mark.parametrize("output_type", ["base64Data", "dataURI"])
async def test_a_ttl_is_refused_without_a_link_to_live(output_type: str) -> None:
    async with served() as (server, client):
        options: Any = {"output_type": output_type, "ttl": 60}
        with pytest.raises(InputError, match=r"ttl.*output_type='URL'"):
            await client.submit(IMAGE, **options)
        assert not server.tasks


async def test_an_error_about_a_url_does_not_show_what_it_carries() -> None:
    async with served() as (_, client):
        with pytest.raises(InputError) as caught:
            await client.submit(IMAGE, webhook_url="https://user:hunter2@exa mple.com/?sig=hunter2")
        assert "hunter2" not in str(caught.value)


async def test_an_address_of_another_scheme_is_told_which_ones_there_are() -> None:
    async with served() as (_, client):
        with pytest.raises(InputError, match=r"is not an http\(s\) URL; pass one that starts"):
            await client.submit(IMAGE, upload_endpoint="ftp://example.com/x")


async def test_a_task_uuid_that_is_under_way_is_refused() -> None:
    async def silent(connection: Any) -> None:
        await connection.accept()
        await connection.take(2)

    async with served(silent) as (_, client):
        await client.submit(IMAGE, task_uuid=UUID4)
        with pytest.raises(InputError, match="task_uuid: is in use"):
            await client.submit(IMAGE, task_uuid=UUID4.upper())


async def test_a_task_uuid_is_in_use_until_its_task_is_settled_under_whatever_name() -> None:
    gate = Gate()

    async def fails_once(connection: Connection) -> None:
        await connection.accept()
        (first,) = await connection.take()
        await connection.send(errors=[error("internalServerError", first)])
        (second,) = await connection.take()
        await gate.wait()
        await connection.answer(second)
        await connection.serve()

    async with served(fails_once) as (server, client):
        task = await client.submit(IMAGE, task_uuid=UUID4)
        await server.until(lambda: len(server.tasks) == 2)
        assert task.task_uuid == UUID4 != task.attempt_uuids[1]
        with pytest.raises(InputError, match="task_uuid: is in use"):
            await client.submit(IMAGE, task_uuid=UUID4)
        gate.open()
        await task
        await client.upscale(IMAGE, task_uuid=UUID4)


async def test_a_frame_of_several_tasks_may_be_as_large_as_its_limit_and_no_larger() -> None:
    async def lengths(limit: int) -> list[int]:
        with ScriptedServer() as server:
            async with client_of(server, max_frame_bytes=limit) as client:
                held = await client.submit(IMAGE)  # so that the next ones leave together
                for task in [held, *[await client.submit(IMAGE) for _ in range(4)]]:
                    await task
            return [len(frame) for frame in server.frames if '"upscale"' in str(frame)]

    together = max(await lengths(10_000))
    assert max(await lengths(together)) == together
    assert max(await lengths(together - 1)) < together - 1


async def test_tasks_that_wait_together_travel_together_up_to_the_limits() -> None:
    with ScriptedServer() as server:
        client = client_of(server, max_tasks_per_frame=10, adaptive=False)
        async with client:
            tasks = [await client.submit(IMAGE) for _ in range(25)]
            for task in tasks:
                await task
        sizes = [len(json.loads(frame)) for frame in server.frames[1:]]
        assert sizes in ([10, 10, 5], [1, 10, 10, 4])  # the first waits for no other, if it can


async def test_tasks_travel_together_that_are_handed_in_as_settled_ones_are_taken_out() -> None:
    async def answers_four_of_five_at_once(connection: Connection) -> None:
        await connection.accept()
        tasks = await connection.take(5)
        await connection.send(*map(result, tasks[1:]))
        await connection.serve()

    async with served(answers_four_of_five_at_once) as (server, client):
        _held, *tasks = await submitted(client, 5)
        for task in tasks:
            await task
            await client.submit(IMAGE)
        await server.until(lambda: len(server.tasks) == 9)
        assert len(json.loads(server.frames[-1])) == 4


async def test_a_frame_of_several_tasks_keeps_below_its_limit_in_bytes() -> None:
    async with served(max_frame_bytes=10_000) as (server, client):
        tasks = [await client.submit(bytes(3_000)) for _ in range(8)]
        tasks.append(await client.submit(bytes(30_000)))
        for task in tasks:
            await task
        frames = server.frames[1:]
        large = [frame for frame in frames if len(frame) > 10_000]
        assert [len(json.loads(frame)) for frame in large] == [1]
        assert len(frames) <= 6
        assert len(server.executed) == 9


SETTINGS: list[tuple[str, Any]] = [
    *[(name, 0) for name in ("max_in_flight", "max_in_flight_bytes", "max_size", "timeout")],
    *[(name, 0) for name in ("connect_timeout", "auth_timeout", "keepalive", "ping_timeout")],
    *[(name, 0) for name in ("max_tasks_per_frame", "max_frame_bytes")],
    *[(name, -1) for name in ("max_retries", "max_reconnect_time", "max_in_flight")],
    *[(name, "1") for name in ("max_in_flight", "timeout", "max_retries", "keepalive")],
    *[(name, None) for name in ("max_in_flight", "keepalive", "connect_timeout")],
    *[(name, 1.5) for name in ("max_in_flight", "max_retries", "max_size")],
    *[(name, True) for name in ("max_in_flight", "timeout")],
    ("timeout", float("nan")),
    ("max_reconnect_time", float("inf")),
    ("max_size", 10**400),
    *[("url", url) for url in ("https://a.b/v1", "ws://", "nonsense", "ws://[::1", 5)],
    *[("url", f"ws://{host}/v1") for host in ("example.com", "10.0.0.1", "localhost.evil.com")],
    ("url", ""),
    *[("url", url) for url in ("wss://a.b/v1#top", "wss://a.b/v1 ", "wss://a.b/v 1", "wss://a b/")],
    *[("allow_insecure", value) for value in ("no", 1, None)],
    *[("journal", path) for path in ("", ":memory:", Path(":memory:"), Path(), ".", 5, b"jobs.db")],
    ("url", "ws://127.0.0.1.evil.com/v1"),
    ("url", "ws://localhost:99999/"),
    *[("api_key", key) for key in ("", "  ", 5, b"key", "\udcff")],
]


@pytest.mark.parametrize(("argument", "value"), SETTINGS)
def test_a_wrong_setting_is_refused_at_once_and_by_name(argument: str, value: Any) -> None:
    options = {"api_key": KEY, "url": "ws://127.0.0.1:1/v1"} | {argument: value}
    with pytest.raises(InputError) as caught:
        RunwareClient(**options)
    assert caught.value.parameter == argument
    assert str(caught.value).startswith(f"{argument}: ")


def test_a_key_is_missing_with_words_that_say_how_to_get_one() -> None:
    with pytest.raises(InputError, match="RUNWARE_API_KEY"):
        RunwareClient(url="ws://127.0.0.1:1/v1")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_an_unencrypted_connection_to_this_machine_is_allowed(host: str) -> None:
    assert RunwareClient(KEY, url=f"ws://{host}:1/v1").state == "new"


def test_an_unencrypted_connection_elsewhere_must_be_asked_for() -> None:
    assert RunwareClient(KEY, url="ws://example.com/v1", allow_insecure=True).state == "new"


async def test_key_and_address_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ScriptedServer() as server:
        monkeypatch.setenv("RUNWARE_API_KEY", f" {KEY}\n")
        monkeypatch.setenv("RUNWARE_URL", server.url)
        async with RunwareClient() as client:
            await client.upscale(IMAGE)
        assert server.connections[0].tasks[0]["apiKey"] == KEY
        assert (server.connections[0].user_agent or "").startswith("runware-ws/")
