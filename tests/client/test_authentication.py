"""Test authentication: a key that is accepted, refused, or never answered."""

from __future__ import annotations

import json
import socket
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from runware_ws import (
    AuthenticationError,
    ClientClosedError,
    ConnectionLostError,
    RunwareClient,
    TaskTimeoutError,
)
from tests.support.answers import error
from tests.support.clients import IMAGE, KEY, client_of, served
from tests.support.scripted import Connection, Script, ScriptedServer, drops_a_task

pytestmark = pytest.mark.anyio

INVALID = error("invalidApiKey", taskType="authentication", parameter="apiKey")


def refusing(frame: Any) -> Script:
    """A script that answers the authentication with `frame`."""

    async def script(connection: Connection) -> None:
        while True:
            await connection.receive()
            await connection.send_json(frame)

    return script


async def silent(connection: Connection) -> None:
    await connection.receive()
    await connection.receive()


REFUSALS: dict[str, tuple[Any, str, str]] = {
    "documented": ({"errors": [INVALID]}, "invalidApiKey", "This is invalidApiKey."),
    "legacy": (
        {
            "error": True,
            "errorId": 19,
            "errorMessage": "Invalid api key",
            "errorMessageContentId": 1212,
        },
        "invalidApiKey",
        "Invalid api key",
    ),
    "without a taskType": ({"errors": [error("missingApiKey")]}, "missingApiKey", "This is"),
    "an object": ({"error": INVALID}, "invalidApiKey", "This is invalidApiKey."),
    "suspended": (
        {"errors": [error("accountSuspended", taskType="authentication")]},
        "accountSuspended",
        "This is",
    ),
    "unknown code": ({"errors": [error("novelty")]}, "novelty", "This is novelty."),
}


@pytest.mark.parametrize("shape", REFUSALS)
async def test_a_refused_key_is_fatal_at_once_in_the_services_words(shape: str) -> None:
    frame, code, words = REFUSALS[shape]
    with ScriptedServer(refusing(frame)) as server:
        client = client_of(server)
        with pytest.raises(AuthenticationError) as caught:
            await client.connect()
        assert caught.value.code == code
        assert words in caught.value.message
        assert client.state in ("failed", "closed")
        with pytest.raises((AuthenticationError, ClientClosedError)):
            await client.submit(IMAGE)
        assert len(server.connections) == 1


async def test_a_task_cannot_get_past_a_refused_key() -> None:
    with ScriptedServer(refusing({"errors": [INVALID]})) as server:
        with pytest.raises(AuthenticationError):
            async with client_of(server):
                pytest.fail("the body was entered")
        assert not server.tasks


async def test_without_a_reply_the_next_connection_is_tried() -> None:
    async with served(silent, auth_timeout=0.3) as (server, client):
        await client.upscale(IMAGE)
        assert len(server.connections) >= 2
        assert client.state == "connected"


async def test_a_reply_without_a_session_is_a_failure() -> None:
    async def forgets(connection: Connection) -> None:
        await connection.receive()
        await connection.send({"taskType": "authentication"})
        await connection.receive()

    async with served(forgets) as (server, client):
        await client.upscale(IMAGE)
        assert len(server.connections) == 2
        assert client.session_uuid == server.connections[1].session


async def test_nothing_is_sent_before_the_key_is_accepted() -> None:
    async def waits(connection: Connection) -> None:
        (task,) = await connection.receive()
        await anyio.lowlevel.checkpoint()
        assert len(connection.frames) == 1
        await connection.welcome(task)
        await connection.serve()

    with ScriptedServer(silent, waits) as server:
        client = client_of(server, auth_timeout=0.5)
        await client.connect()
        task = await client.submit(IMAGE)
        assert task.state == "queued"
        await task
        assert [len(connection.tasks) for connection in server.connections] == [1, 2]
        await client.aclose()


async def test_a_temporary_refusal_of_the_first_authentication_is_not_fatal() -> None:
    busy = {"errors": [error("serviceUnavailable", taskType="authentication")]}
    async with served(refusing(busy)) as (server, client):
        with anyio.fail_after(10):
            await client.upscale(IMAGE)
        assert len(server.connections) == 2


@pytest.mark.parametrize("status", [401, 404, 429, 503])
async def test_a_refused_upgrade_is_tried_again_and_named(status: int) -> None:
    with ScriptedServer(refusals=[status] * 1000) as server:
        async with client_of(server) as client:
            with anyio.fail_after(10):
                while client.state != "waiting":
                    await anyio.lowlevel.checkpoint()
            with pytest.raises(ConnectionLostError, match=f"HTTP {status}"):
                await client.ping()
            server.call(server.refusals.clear)
            await client.upscale(IMAGE)
        assert len(server.connections) == 1


async def test_an_unreachable_server_makes_tasks_wait_and_time_out_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    # Nobody listens there any more.
    server = ScriptedServer()
    server.url = f"ws://127.0.0.1:{port}/v1"
    async with client_of(server) as client:
        task = await client.submit(IMAGE, timeout=0.2)
        assert task.state == "queued"
        with pytest.raises(TaskTimeoutError, match=r"queued.*(waiting|connecting)") as caught:
            await task
        assert caught.value.stage == "queued"
        assert "billed" not in str(caught.value)
        pending = await client.submit(IMAGE)
    with pytest.raises(ClientClosedError, match=pending.task_uuid):
        await pending


async def test_a_server_that_does_not_speak_is_given_up_after_connect_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ScriptedServer()
        server.url = f"ws://127.0.0.1:{listener.getsockname()[1]}/v1"
        async with client_of(server, connect_timeout=0.1) as client:
            assert client.state in ("waiting", "connecting")
            with pytest.raises(ConnectionLostError, match="in time"):
                await client.ping()


async def test_an_address_where_nobody_listens_is_named_in_plain_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = RunwareClient(KEY, url=f"ws://127.0.0.1:{port}/v1", max_reconnect_time=0)
    with pytest.raises(ConnectionLostError, match=rf"Error: .*{port}") as caught:
        await client.connect()
    assert "Group" not in str(caught.value)


async def test_with_a_limit_an_unreachable_server_is_given_up() -> None:
    with ScriptedServer(refusals=[503] * 100) as server:
        client = client_of(server, max_reconnect_time=0)
        with pytest.raises(ConnectionLostError, match=r"max_reconnect_time.*HTTP 503"):
            await client.connect()
        assert client.state in ("failed", "closed")


async def test_a_session_is_resumed_with_exactly_the_documented_members() -> None:
    async def drops(connection: Connection) -> None:
        await connection.accept()
        connection.abort()

    async with served(drops) as (server, client):
        await client.upscale(IMAGE)
        first, second = server.connections
        assert json.loads(second.frames[0]) == [
            {
                "taskType": "authentication",
                "apiKey": KEY,
                "connectionSessionUUID": first.session,
            }
        ]
        assert client.session_uuid == first.session


async def test_a_refused_session_is_retried_without_it_on_the_same_connection() -> None:
    async def drops(connection: Connection) -> None:
        await connection.accept()
        connection.abort()

    async def refuses_sessions(connection: Connection) -> None:
        (task,) = await connection.receive()
        assert "connectionSessionUUID" in task
        invalid = error(
            "invalidConnectionSessionUUID",
            taskType="authentication",
            parameter="connectionSessionUUID",
        )
        await connection.send(errors=[invalid])
        again = await connection.accept()
        assert "connectionSessionUUID" not in again
        await connection.serve()

    async with served(drops, refuses_sessions) as (server, client):
        await client.upscale(IMAGE)
        assert len(server.connections) == 2
        assert client.session_uuid == server.connections[1].session


async def test_a_key_refused_after_it_was_accepted_trips_a_breaker_and_recovers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    locked = True

    async def refuses_while_locked(connection: Connection) -> None:
        if locked:
            await refusing({"errors": [INVALID]})(connection)
        await connection.serve()

    with ScriptedServer(drops_a_task, *[refuses_while_locked] * 20) as server:
        async with client_of(server) as client:
            task = await client.submit(IMAGE)
            await server.until(lambda: client.state == "key_refused")
            hasty = await client.submit(IMAGE, timeout=0.5)
            with pytest.raises(TaskTimeoutError, match="invalidApiKey"):
                await hasty
            assert any(record.levelname == "ERROR" for record in caplog.records)
            locked = False
            await task
            assert client.state == "connected"
