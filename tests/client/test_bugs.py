"""A bug of the client ends it, and nobody waits for ever: each waiter gets an error or a result."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from runware_ws import ClientClosedError, JournalError, RunwareClient, RunwareError, UpscaleResult
from runware_ws.journal import loading
from runware_ws.journal.changes import Keep, KeepResult
from runware_ws.protocol.channel import Channel
from runware_ws.protocol.session import Session
from runware_ws.protocol.task_table import TaskTable
from runware_ws.transport.websocket import WebSocket
from tests.journal.clients import left_by
from tests.support.clients import IMAGE, client_of, outcome_of, served, submitted
from tests.support.scripted import Connection, Gate, Script, ScriptedServer, silent

pytestmark = pytest.mark.anyio
URLS = [f"https://example.com/{number}.jpg" for number in range(5)]


class UnexpectedError(Exception):
    """Nobody expects it."""


def fails(*_: Any, **__: Any) -> Any:
    raise UnexpectedError


def answering_at(gate: Gate) -> Script:
    """Return a script that takes three tasks, and answers them once the gate is open."""

    async def script(connection: Connection) -> None:
        await connection.accept()
        tasks = await connection.take(3)
        await gate.wait()
        for task in tasks:
            await connection.answer(task)
        await connection.serve()

    return script


class Waiters:
    """Everybody who can wait for something of a client.

    Attributes:
        heard: what each of them got, by what it waited for.
    """

    def __init__(self, client: RunwareClient) -> None:
        self.heard: dict[str, list[Any]] = {}
        self._client = client

    async def start(self, group: Any) -> None:
        client = self._client
        (task,) = await submitted(client, 1)
        group.start_soon(self._note, "handle", task.result)
        for _ in range(4):  # of which some wait at the gate
            group.start_soon(self._note, "upscale", partial(client.upscale, IMAGE))
        group.start_soon(self._read, "many", client.upscale_many(URLS))
        group.start_soon(self._read, "events", client.events())
        group.start_soon(self._note, "drain", client.drain)

    async def _note(self, name: str, call: Callable[[], Awaitable[Any]]) -> None:
        try:
            heard = await call()
        except RunwareError as error:
            heard = error
        self.heard.setdefault(name, []).append(heard)

    async def _read(self, name: str, items: AsyncIterator[Any]) -> None:
        self.heard[name] = [item async for item in items]


@pytest.mark.parametrize(
    ("room", "method"),
    [
        (Channel, "receive"),
        (Channel, "handle_timer"),
        (Session, "next_timer"),
        (TaskTable, "succeed"),
        (TaskTable, "settle"),
        (UpscaleResult, "__init__"),
        (WebSocket, "receive"),
    ],
)
async def test_every_waiter_hears_of_a_bug(
    room: type, method: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    options = {"max_in_flight": 3, "adaptive": False, "keepalive": 0.1}  # whose timer is used too
    async with served(answering_at(gate), **options) as (server, client):
        waiters = Waiters(client)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                await waiters.start(group)
                await server.until(lambda: len(server.tasks) == 3)
                monkeypatch.setattr(room, method, fails)
                gate.open()
        outcomes = [*waiters.heard["handle"], *waiters.heard["upscale"]]
        outcomes += [one.error or one.result for one in waiters.heard["many"]]
        assert len(outcomes) == 10
        assert {type(one) for one in outcomes} <= {ClientClosedError, UpscaleResult}
        assert waiters.heard["drain"] == [True]
        assert waiters.heard["events"][-1].kind == "closed"
        with pytest.raises(ClientClosedError, match="a bug in runware_ws: UnexpectedError"):
            await client.upscale(IMAGE)
    assert "this is a bug in runware_ws" in caplog.text


async def test_telemetry_that_fails_harms_no_task(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        submitted = retried = settled = staticmethod(fails)

    with ScriptedServer() as server:
        client = client_of(server)
        client._observe(Broken())
        async with client:
            assert (await client.upscale(IMAGE)).image_url
            assert client.state == "connected"
    assert "the telemetry of the client failed" in caplog.text


@pytest.mark.parametrize("change", [Keep, KeepResult])
async def test_every_waiter_hears_of_a_bug_in_the_journal(
    change: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jobs.db"
    gate = Gate()
    with ScriptedServer(answering_at(gate)) as server:
        async with client_of(server, journal=path) as client:
            tasks = await submitted(client, 3)
            await server.until(lambda: len(server.tasks) == 3)
            monkeypatch.setattr(change, "parameters", fails)
            gate.open()
            kinds = {type(await outcome_of(task)) for task in tasks}
            # Results that come after the journal has failed are fetched by the next client.
            assert UpscaleResult in kinds
            assert kinds <= {UpscaleResult, JournalError}
            with anyio.fail_after(20), pytest.raises(JournalError, match="a bug in runware_ws"):
                await client.submit(IMAGE)
        monkeypatch.undo()
        server.known |= {task["taskUUID"]: task for task in server.tasks}
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
    assert {one.unwrap().task_uuid for one in left} == {task.task_uuid for task in tasks}


async def test_what_was_left_is_not_waited_for_when_it_cannot_be_loaded_because_of_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jobs.db"
    with ScriptedServer(silent) as server:
        async with client_of(server, journal=path) as client:
            await submitted(client, 3)
            await server.until(lambda: len(server.tasks) == 3)
        monkeypatch.setattr(loading, "read_request", fails)
        async with client_of(server, journal=path) as client:
            with anyio.fail_after(20):
                left = await left_by(client)
    assert {type(one.error) for one in left} == {ClientClosedError}
    assert len(left) == 3
