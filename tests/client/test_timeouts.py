"""Test timeouts: of a task, and of reconnecting."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from runware_ws import ConnectionLostError, TaskTimeoutError
from runware_ws.journal.store import Journal
from tests.support.clients import IMAGE, client_of, outcome_of, served
from tests.support.scripted import Connection, Script, ScriptedServer, drops_a_task, silent

pytestmark = pytest.mark.anyio


async def acknowledging(connection: Connection) -> None:
    await connection.accept()
    while True:
        for task in await connection.receive():
            await connection.send({"taskUUID": task["taskUUID"], "taskType": "upscale"})


@pytest.mark.parametrize(
    ("script", "options", "stage"),
    [(silent, {}, "sent"), (acknowledging, {"delivery_method": "async"}, "accepted")],
)
async def test_a_timeout_names_the_task_and_its_stage(
    script: Script, options: Any, stage: str
) -> None:
    async with served(script, timeout=0.5) as (_, client):
        task = await client.submit(IMAGE, **options)
        failure = await outcome_of(task)
        assert isinstance(failure, TaskTimeoutError)
        assert isinstance(failure, TimeoutError)
        assert (failure.stage, failure.task_uuid, failure.timeout) == (stage, task.task_uuid, 0.5)
        assert f"still {stage} after 0.5 s" in str(failure)
        assert "billed" in str(failure)


async def test_a_timeout_while_waiting_for_room_says_that_nothing_was_sent() -> None:
    async with served(silent, max_in_flight=1) as (server, client):
        await client.submit(IMAGE)
        with pytest.raises(TaskTimeoutError, match="max_in_flight") as caught:
            await client.submit(IMAGE, timeout=0.1)
        assert caught.value.stage == "queued"
        assert client.stats().waiting == 0
        assert len(server.tasks) <= 1


async def test_a_timeout_after_the_connection_was_lost_says_so() -> None:
    async def shut(connection: Connection) -> None:
        await connection.receive()
        await connection.receive()

    async with served(drops_a_task, shut) as (_, client):
        failure = await outcome_of(await client.submit(IMAGE, timeout=0.5))
        assert isinstance(failure, TaskTimeoutError)
        assert failure.stage == "reconciling"
        assert "authenticating" in failure.detail


async def test_the_limit_to_reconnecting_fails_what_waits_with_its_name() -> None:
    with ScriptedServer(drops_a_task) as server:
        async with client_of(server, max_reconnect_time=0) as client:
            task = await client.submit(IMAGE)
            failure = await outcome_of(task)
            assert isinstance(failure, ConnectionLostError)
            assert failure.task_uuid == task.task_uuid
            assert client.state == "failed"
            with pytest.raises(ConnectionLostError):
                await client.submit(IMAGE)


class HangingFile(io.BytesIO):
    """A file that gives its bytes once it is told to."""

    def __init__(self) -> None:
        super().__init__(b"an image")
        self.goes_on = threading.Event()

    def read(self, size: int | None = -1) -> bytes:
        self.goes_on.wait()
        return super().read(size)


async def test_a_timeout_holds_while_a_file_does_not_give_its_bytes() -> None:
    file = HangingFile()
    async with served() as (server, client):
        try:
            with pytest.raises(TaskTimeoutError, match="being read"):
                await client.upscale(file, timeout=0.1)
        finally:
            file.goes_on.set()
        assert not server.tasks


@pytest.mark.parametrize("options", [{"idempotency_key": "content"}, {}])
async def test_a_timeout_holds_while_no_thread_is_free_to_compute_a_hash(
    options: dict[str, Any],
) -> None:
    files = [HangingFile() for _ in range(16)]
    text = "data:image/png;base64," + "A" * 400_000
    async with (
        served(reuse_inputs=not options) as (server, client),
        anyio.create_task_group() as tasks,
    ):
        try:
            for file in files:
                tasks.start_soon(client.upscale, file)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(TaskTimeoutError, match="being read"):
                await client.upscale(text, timeout=0.1, **options)
            assert not server.tasks
        finally:
            tasks.cancel_scope.cancel()
            for file in files:
                file.goes_on.set()


@pytest.mark.parametrize("method", ["upscale", "submit"])
async def test_a_timeout_holds_while_the_disk_of_the_journal_hangs(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    commit = Journal.commit

    def hangs(*arguments: Any) -> None:
        goes_on.wait()
        commit(*arguments)

    async with served(journal=tmp_path / "journal.db") as (_, client):
        monkeypatch.setattr(Journal, "commit", hangs)
        try:
            with pytest.raises(TaskTimeoutError):
                await getattr(client, method)(IMAGE, timeout=0.1)
        finally:
            goes_on.set()
        await client.upscale(IMAGE)
