"""When `submit` has returned, the task is in the journal, whatever becomes of the process."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import anyio
import pytest

from runware_ws import ClientClosedError, TaskTimeoutError, UpscaleTask
from runware_ws.journal.changes import Keep, KeepResult
from runware_ws.journal.entry import Entry
from runware_ws.journal.store import Journal
from tests.journal.brake import Brake
from tests.journal.clients import in_file, left_by
from tests.support.clients import IMAGE, KEY, client_of, outcome_of, served, submitted
from tests.support.scripted import Connection, ScriptedServer, silent

pytestmark = pytest.mark.anyio
TIMES = 5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


EXITS = """
import os, sys
import anyio
from runware_ws import RunwareClient

key, url, folder, backend = sys.argv[1:]

async def main(number):
    client = RunwareClient(key, url=url, journal=f"{folder}/{number}.db")
    await client.connect()
    task = await client.submit(b"an image")
    os.write(1, f"{task.task_uuid}\\n".encode())
    os._exit(0)

for number in range(int(os.environ["TIMES"])):
    child = os.fork()
    if not child:
        anyio.run(main, number, backend=backend)
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no fork")
async def test_a_process_that_exits_right_after_submitting_has_the_task_in_its_journal(
    tmp_path: Path, anyio_backend_name: str
) -> None:
    with ScriptedServer(*[silent] * TIMES) as server:
        command = [sys.executable, "-c", EXITS, KEY, server.url, str(tmp_path), anyio_backend_name]
        environment = {**os.environ, "TIMES": str(TIMES)}
        done = await anyio.run_process(command, env=environment, check=False)
    assert not done.stderr
    uuids = done.stdout.decode().split()
    assert len(uuids) == TIMES
    for number, uuid in enumerate(uuids):
        assert [entry.uuid for entry in in_file(tmp_path / f"{number}.db")] == [uuid]


async def test_many_calls_share_a_commit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(journal=path, max_in_flight=200) as (_, client):
        brake = Brake(monkeypatch, Keep)
        tasks: list[UpscaleTask] = []

        async def submit() -> None:
            tasks.append(await client.submit(IMAGE))

        async with anyio.create_task_group() as group:
            group.start_soon(submit)
            await brake.reached()
            for _ in range(100):
                group.start_soon(submit)
            await anyio.wait_all_tasks_blocked()
            assert not tasks
            brake.release()
        assert len(tasks) == 101
        sizes = [sum(isinstance(one, Keep) for one in changes) for changes in brake.commits]
        assert [size for size in sizes if size] == [1, 100]


async def test_a_call_that_is_cancelled_meanwhile_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(journal=path) as (server, client):
        brake = Brake(monkeypatch, Keep)
        async with anyio.create_task_group() as group:
            group.start_soon(client.submit, IMAGE)
            await brake.reached()
            group.cancel_scope.cancel()
        brake.release()
        assert await client.drain(20)
        await client.ping()
        assert not server.tasks
    assert in_file(path) == []


async def test_a_disk_that_hangs_holds_no_submission_up_past_its_timeout(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(journal=path) as (server, client):
        brake = Brake(monkeypatch, Keep)
        with pytest.raises(TaskTimeoutError):
            await client.submit(IMAGE, timeout=0.1)
        with pytest.raises(TaskTimeoutError):
            await client.upscale(IMAGE, timeout=0.1)
        brake.release()
        assert await client.drain(20)
        await client.ping()
        assert not server.tasks
    assert in_file(path) == []


async def test_a_disk_that_hangs_holds_no_result_up_past_its_timeout_and_loses_none(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answers_both(connection: Connection) -> None:
        await connection.accept()
        for task in await connection.take(2):
            await connection.answer(task)
        await connection.serve()

    with ScriptedServer(answers_both) as server:
        async with client_of(server, journal=path) as client:
            brake = Brake(monkeypatch, KeepResult)
            one, other = await submitted(client, 2, timeout=0.5)
            for task in (one, other):
                failure = await outcome_of(task)
                assert isinstance(failure, TaskTimeoutError)
                assert "not in the journal yet" in str(failure)
            brake.release()
            await client.drain(20)
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
        assert {left.unwrap().task_uuid for left in left} == {one.task_uuid, other.task_uuid}
        assert len(server.of_kind("upscale")) == 2
        assert not server.of_kind("getResponse")


async def test_a_reader_of_what_was_left_can_give_up_while_the_disk_hangs(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer() as server:
        async with client_of(server, journal=path) as client:
            await client.upscale(IMAGE)
        async with client_of(server, journal=path) as client:
            answers = threading.Event()
            read = Journal.entry

            def hangs(journal: Journal, row: int) -> Entry | None:
                answers.wait(20)
                return read(journal, row)

            monkeypatch.setattr(Journal, "entry", hangs)
            with anyio.move_on_after(0.05) as scope:
                await left_by(client)
            assert scope.cancelled_caught
            answers.set()
            assert len(await left_by(client)) == 1


async def test_closing_lets_nobody_wait_for_a_disk_that_hangs(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer() as server:
        async with client_of(server, journal=path) as client:
            brake = Brake(monkeypatch, KeepResult)
            task = await client.submit(IMAGE, timeout=None)
            await brake.reached()
        failure = await outcome_of(task)
        assert isinstance(failure, ClientClosedError)
        assert failure.task_uuid == task.task_uuid
        brake.release()
        await client.aclose()  # which waits for the disk, now that it answers


async def test_a_client_that_closes_meanwhile_has_the_task_in_its_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer(silent) as server:
        async with client_of(server, journal=path) as client:
            brake = Brake(monkeypatch, Keep)
            tasks: list[UpscaleTask] = []

            async def submit() -> None:
                tasks.append(await client.submit(IMAGE))

            async with anyio.create_task_group() as group:
                group.start_soon(submit)
                await brake.reached()
                group.start_soon(client.aclose)
                await anyio.wait_all_tasks_blocked()
                brake.release()
        assert isinstance(await outcome_of(tasks[0]), ClientClosedError)
        assert [entry.uuid for entry in in_file(path)] == [tasks[0].task_uuid]


async def test_what_was_submitted_is_run_by_the_next_client(path: Path) -> None:
    with ScriptedServer(silent) as server:
        async with client_of(server, journal=path) as client:
            tasks = await submitted(client, 20)
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
    assert {one.unwrap().task_uuid for one in left} == {task.task_uuid for task in tasks}
