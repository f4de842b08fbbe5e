"""Test tasks that were given up, journals that fail, and what never gets into a journal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import anyio
import pytest

from runware_ws import (
    ClientClosedError,
    JournalError,
    RunwareClient,
    TaskCancelledError,
    TaskTimeoutError,
    UpscaleResult,
)
from runware_ws.journal.changes import Change
from runware_ws.journal.store import Journal
from tests.journal.clients import in_file, left_by, snapshot
from tests.journal.files import limited_files
from tests.support.answers import JPEG, result
from tests.support.clients import IMAGE, KEY, client_of, outcome_of, served, submitted
from tests.support.scripted import Connection, Gate, ScriptedServer, silent

pytestmark = pytest.mark.anyio
unix = pytest.mark.skipif(sys.platform == "win32", reason="has no such limits")


async def give_up(client: RunwareClient, server: ScriptedServer, how: str) -> str:
    """Give a task up that the server has. Its UUID."""
    limit = 0.3 if how == "timeout" else None
    task = await client.submit(b"an image", timeout=limit)
    await server.until(lambda: server.of_kind("upscale"))
    if how == "cancelled":
        task.cancel()
    failure = await outcome_of(task)
    assert isinstance(failure, TaskCancelledError | TaskTimeoutError)
    return task.task_uuid


@pytest.mark.parametrize("how", ["cancelled", "timeout"])
async def test_what_was_given_up_after_it_was_sent_is_forgotten(path: Path, how: str) -> None:
    with ScriptedServer(silent) as server:
        async with client_of(server, journal=path) as client:
            await give_up(client, server, how)
        assert in_file(path) == []
        async with client_of(server, journal=path) as client:
            assert await left_by(client) == []
        assert len(server.of_kind("upscale")) == 1


async def test_what_was_given_up_before_it_was_sent_is_forgotten(path: Path) -> None:
    with ScriptedServer(refusals=[503] * 100) as server:
        async with client_of(server, journal=path) as client:
            (task,) = await submitted(client, 1)
            task.cancel()
            with pytest.raises(TaskTimeoutError):
                await client.upscale(IMAGE, timeout=0.05)
    assert in_file(path) == []


async def test_the_end_of_the_client_forgets_no_task_that_was_being_recovered(path: Path) -> None:
    with ScriptedServer(silent, silent, silent) as server:
        async with client_of(server, journal=path) as client:
            tasks = await submitted(client, 3)
            await server.until(lambda: len(server.of_kind("upscale")) == 3)
        async with client_of(server, journal=path) as client, anyio.create_task_group() as group:
            left = []

            async def collect() -> None:
                left.extend(await left_by(client))

            group.start_soon(collect)
            await anyio.wait_all_tasks_blocked()
            await client.aclose()
        assert {type(one.error) for one in left} == {ClientClosedError}
        assert len(left) == 3
        async with client_of(server, journal=path):
            pass
    assert {one.uuid for one in in_file(path)} == {task.task_uuid for task in tasks}


class Failing:
    """Commits fail as if the disk were full, from a moment on."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = False
        commit = Journal.commit

        def failing(journal: Journal, changes: Iterable[Change], session: str | None) -> None:
            if self.now:
                raise JournalError("jobs.db", "database or disk is full")
            commit(journal, changes, session)

        patch.setattr(Journal, "commit", failing)


async def test_a_journal_that_cannot_be_written_ends_the_client_and_loses_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing(monkeypatch)
    gate = Gate()

    async def waits(connection: Connection) -> None:
        await connection.accept()
        one, _ = await connection.take(2)
        await gate.wait()
        await connection.send(result(one))
        await connection.serve()

    with ScriptedServer(waits) as server:
        async with client_of(server, journal=path) as client:
            one, other = await submitted(client, 2)
            await server.until(lambda: len(server.of_kind("upscale")) == 2)
            failing.now = True
            gate.open()
            assert isinstance(await outcome_of(one), UpscaleResult)  # it is here, so it is given
            failure = await outcome_of(other)
            assert isinstance(failure, JournalError)
            assert "disk is full" in str(failure)
            with pytest.raises(JournalError, match="disk is full"):
                await client.submit(IMAGE)
            assert client.state == "failed"
        failing.now = False
        server.known |= {task["taskUUID"]: task for task in server.of_kind("upscale")}
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
    assert {getattr(left.result, "task_uuid", "") for left in left} >= {other.task_uuid}
    assert len(server.of_kind("upscale")) == 2
    assert [record.levelname for record in caplog.records].count("ERROR") == 1


async def test_what_could_not_be_written_was_not_sent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(monkeypatch)
    async with served(journal=path) as (server, client):
        failing.now = True
        with pytest.raises(JournalError, match="disk is full"):
            await client.submit(IMAGE)
        assert not server.tasks
    failing.now = False
    assert in_file(path) == []


@unix
async def test_a_disk_that_is_full_is_told_as_such(path: Path) -> None:
    async with served(silent, journal=path) as (_, client):
        with limited_files(200_000), pytest.raises(JournalError) as caught:
            await client.submit(b"x" * 300_000)
        assert caught.value.path == str(path)
    assert in_file(path) == []


async def test_a_journal_that_cannot_be_opened_closes_the_client(path: Path) -> None:
    await anyio.Path(path).write_text("no journal")
    with ScriptedServer() as server:
        client = client_of(server, journal=path)
        with pytest.raises(JournalError, match="is not a journal"):
            await client.connect()
        assert client.state == "closed"
        assert not server.connections


async def test_the_key_is_never_in_it(path: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(JPEG)
    with ScriptedServer(silent) as server:
        async with client_of(server, journal=path) as client:
            for image in (photo, IMAGE, b"an image"):
                await client.submit(image)
            await server.until(lambda: len(server.tasks) == 3)
            snapshot(path)
        async with client_of(server, journal=path) as client:
            await client.drain()
            snapshot(path)
    files = [await file.read_bytes() async for file in anyio.Path(tmp_path).iterdir()]
    assert len(files) >= 4
    assert not any(KEY.encode() in content for content in files)


async def test_a_task_is_attached_to_by_another_client_after_a_timeout_and_after_closing() -> None:
    with ScriptedServer(silent) as server:
        async with client_of(server) as client:
            one, other = await client.submit(IMAGE, timeout=0.5), await client.submit(IMAGE)
            await server.until(lambda: len(server.of_kind("upscale")) == 2)
            timeout = await outcome_of(one)
        closed = await outcome_of(other)
        assert isinstance(timeout, TaskTimeoutError)
        assert isinstance(closed, ClientClosedError)
        server.known |= {task["taskUUID"]: task for task in server.of_kind("upscale")}
        async with client_of(server) as client:
            for failure in (timeout, closed):
                assert failure.task_uuid is not None
                found = await (await client.attach(failure.task_uuid))
                assert found.task_uuid == failure.task_uuid
        assert len(server.of_kind("upscale")) == 2
