"""Test that nothing is sent, and nothing handed over, before it is written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import anyio
import pytest

from runware_ws import UpscaleTask
from runware_ws.journal.changes import Change, KeepResult
from runware_ws.journal.store import Journal
from tests.journal.brake import Brake
from tests.journal.clients import in_file, snapshot
from tests.journal.files import entries_of, opened
from tests.support.answers import error, result
from tests.support.clients import IMAGE, outcome_of, served, submitted
from tests.support.scripted import Connection

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


async def test_a_task_is_sent_only_when_it_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(journal=path) as (server, client):
        brake = Brake(monkeypatch)
        tasks: list[UpscaleTask] = []

        async def submit() -> None:
            tasks.append(await client.submit(IMAGE))

        async with anyio.create_task_group() as group:
            group.start_soon(submit)
            await brake.reached()
            await client.ping()  # everything that was to be sent before it has arrived
            assert not server.tasks
            assert not tasks
            assert client.stats().tasks == {"queued": 1}
            brake.release()
        await tasks[0]


async def test_a_server_that_has_a_task_finds_it_in_the_journal(path: Path) -> None:
    found: list[str] = []

    async def looks(connection: Connection) -> None:
        await connection.accept()
        for _ in range(3):
            (task,) = await connection.take()
            entries = in_file(snapshot(path))
            found.extend(one.uuid for one in entries if one.uuid == task["taskUUID"])
            await connection.send(result(task))
        await connection.serve()

    async with served(looks, journal=path) as (_, client):
        done = [(await client.upscale(image)).task_uuid for image in (IMAGE, b"an image", IMAGE)]
    assert found == done


async def test_a_retry_has_its_new_uuid_in_the_journal_before_it_is_sent(path: Path) -> None:
    seen: list[tuple[str, list[str]]] = []

    async def fails_once(connection: Connection) -> None:
        await connection.accept()
        (first,) = await connection.take()
        await connection.send(errors=[error("internalServerError", first)])
        (second,) = await connection.take()
        with opened(snapshot(path)) as journal:
            kept = entries_of(journal)
            request = journal.request(kept[0].row)
        seen.append((second["taskUUID"], [one.wire_uuid for one in kept]))
        assert kept[0].attempts == 2
        assert request.decode().count(second["taskUUID"]) == 1
        await connection.answer(second)
        await connection.serve()

    async with served(fails_once, journal=path) as (_, client):
        done = await client.upscale(b"an image")
        done.ack()
    uuid = done.attempt_uuids[1]
    assert seen == [(uuid, [uuid])]
    assert in_file(path) == []


async def test_a_result_is_handed_over_only_when_it_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(journal=path) as (_, client):
        brake = Brake(monkeypatch, KeepResult)
        task = await client.submit(IMAGE)
        await brake.reached()
        assert not task.done
        brake.release()
        assert (await task).image_url
        assert task.done


async def test_a_result_that_was_handed_over_is_in_the_journal_until_it_is_acknowledged(
    path: Path,
) -> None:
    async with served(journal=path) as (_, client):
        (task,) = await submitted(client, 1)
        await client.drain()
        (entry,) = in_file(snapshot(path))
        assert (entry.uuid, entry.has_result) == (task.task_uuid, True)
        (await task).ack()
    assert in_file(path) == []


async def test_an_error_leaves_nothing_in_the_journal(path: Path) -> None:
    async def refuses(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(errors=[error("invalidImage", task)])
        await connection.serve()

    async with served(refuses, journal=path) as (_, client):
        (task,) = await submitted(client, 1)
        await outcome_of(task)
    assert in_file(path) == []


async def test_what_fails_between_two_attempts_leaves_nothing_in_the_journal(path: Path) -> None:
    async def fails(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(errors=[error("internalServerError", task)])
        await connection.serve()

    async with served(fails, journal=path) as (_, client):
        (task,) = await submitted(client, 1)
        with anyio.fail_after(20):
            while len(task.attempt_uuids) == 1:
                await client.ping()
        task.cancel()
    assert in_file(path) == []


async def test_many_changes_share_a_commit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    commit = Journal.commit

    def counted(journal: Journal, changes: Iterable[Change], session: str | None) -> None:
        changes = list(changes)
        sizes.append(len(changes))
        commit(journal, changes, session)

    monkeypatch.setattr(Journal, "commit", counted)
    images = (f"https://example.com/{number}.jpg" for number in range(300))
    async with served(journal=path) as (_, client):
        assert len([one async for one in client.upscale_many(images, max_in_flight=300)]) == 300
    assert sum(sizes) == 900  # kept, its result kept, forgotten
    assert len(sizes) < 300


async def test_closing_with_a_journal_says_goodbye(path: Path) -> None:
    async with served(journal=path) as (server, client):
        await client.upscale(IMAGE)
        await client.aclose()
        await server.until(lambda: server.connections[0].closed)
        assert server.connections[0].closed in (1000, 1001)
