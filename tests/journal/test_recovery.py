"""Test recovery: the next process finds out about tasks in flight, and runs none twice."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image

from runware_ws import ClientClosedError, TaskNotFoundError, UpscaleResult
from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Silence
from tests.journal.clients import in_file, left_by, snapshot
from tests.support.answers import JPEG, base64_of, error, result
from tests.support.clients import IMAGE, client_of, outcome_of, submitted
from tests.support.scripted import Connection, ScriptedServer, silent

pytestmark = pytest.mark.anyio


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(JPEG)
    return photo


SPOILED: dict[str, Callable[[Path], object]] = {
    "changed": lambda photo: photo.write_bytes(b"another image"),
    "gone": Path.unlink,
}


async def kills(server: ScriptedServer, path: Path, *images: Any, **options: Any) -> Path:
    """The journal of a client that was killed when the server had these images."""
    async with client_of(server, journal=path) as client:
        tasks = [await client.submit(image, **options) for image in images]
        await server.until(lambda: len(server.of_kind("upscale")) == len(tasks))
        return snapshot(path)


async def test_what_was_under_way_is_found_out_and_yielded_once(path: Path, photo: Path) -> None:
    async def knows_one(connection: Connection) -> None:
        await connection.accept()
        for task in await connection.take(3):
            if "://" in task["inputs"]["image"]:
                server.known[task["taskUUID"]] = task

    with ScriptedServer(knows_one) as server:
        journal = await kills(server, path, IMAGE, photo, b"an image")
        async with client_of(server, journal=journal) as client:
            left = await left_by(client)
            assert client.stats().recovered
        async with client_of(server, journal=journal) as client:
            assert await left_by(client) == []
    assert {one.source for one in left} == {IMAGE, photo, None}
    assert all(isinstance(one.result, UpscaleResult) for one in left)
    # The known one was not run; the others were, for the first time, and under their old UUIDs.
    first, again = server.of_kind("upscale")[:3], server.of_kind("upscale")[3:]
    assert sorted(server.executed) == sorted(task["taskUUID"] for task in again)
    assert all(task in first for task in again)
    assert len(again) == 2


async def test_it_is_found_out_though_nobody_asks_for_it(path: Path) -> None:
    with ScriptedServer(silent) as server:
        journal = await kills(server, path, IMAGE)
        async with client_of(server, journal=journal) as client:
            assert await client.drain(20)
            (entry,) = in_file(snapshot(journal))
            assert entry.has_result
            (left,) = await left_by(client)
            assert left.result is not None
            assert left.result.task_uuid == entry.uuid


async def test_what_waited_for_a_connection_is_run_by_the_next_process(path: Path) -> None:
    with ScriptedServer(refusals=[503] * 100) as server:
        async with client_of(server, journal=path) as client:
            (task,) = await submitted(client, 1)
    with ScriptedServer() as server:
        async with client_of(server, journal=path) as client:
            (left,) = await left_by(client)
    assert left.result is not None
    assert left.result.task_uuid == task.task_uuid
    assert server.executed == [task.task_uuid]


@pytest.mark.parametrize(("age", "resumed"), [(1, True), (119, True), (121, False)])
async def test_a_session_is_resumed_while_the_service_keeps_it(
    path: Path, age: float, resumed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer() as server:
        async with client_of(server, journal=path) as client:
            await client.upscale(IMAGE)
            session = client.session_uuid
            now = time.time()
        with monkeypatch.context() as patch:
            patch.setattr("runware_ws.journal.store.time.time", lambda: now + age)
            async with client_of(server, journal=path):
                authentication = server.connections[1].tasks[0]
    assert authentication.get("connectionSessionUUID") == (session if resumed else None)


async def test_pings_keep_a_session_young(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as server:
        async with client_of(server, journal=path, keepalive=0.05):
            now = time.time()
            moments = [now + 1000]
            monkeypatch.setattr("runware_ws.journal.store.time.time", lambda: moments[-1])
            before = len(server.of_kind("ping"))
            await server.until(lambda: len(server.of_kind("ping")) >= before + 2)
            journal = snapshot(path)
            moments.append(now + 1100)
            async with client_of(server, journal=journal):
                tasks = server.connections[1].tasks
    assert tasks[0]["connectionSessionUUID"] == server.connections[0].session


async def test_a_result_that_is_replayed_at_once_is_not_lost(path: Path) -> None:
    with ScriptedServer(silent) as server:
        journal = await kills(server, path, IMAGE)
        (task,) = server.of_kind("upscale")

    async def replays_first(connection: Connection) -> None:
        (greeting,) = await connection.receive()
        await connection.send(result(task))
        await connection.welcome(greeting)
        await connection.serve()

    with ScriptedServer(replays_first) as server:
        async with client_of(server, journal=journal) as client:
            (left,) = await left_by(client)
        assert left.result is not None
        assert not server.tasks


@pytest.mark.parametrize("how", SPOILED)
async def test_a_file_that_is_not_what_it_was_is_not_sent_again(
    path: Path, photo: Path, how: str
) -> None:
    with ScriptedServer(silent) as server:
        journal = await kills(server, path, photo)
        SPOILED[how](photo)
        async with client_of(server, journal=journal) as client:
            (left,) = await left_by(client)
    assert left.source == photo
    assert isinstance(left.error, TaskNotFoundError)
    assert not server.executed


@pytest.mark.parametrize("how", SPOILED)
async def test_the_result_of_a_file_that_is_not_what_it_was_is_wanted_all_the_same(
    path: Path, photo: Path, how: str
) -> None:
    with ScriptedServer(silent) as server:
        journal = await kills(server, path, photo)
        SPOILED[how](photo)
        (task,) = server.of_kind("upscale")
        server.known[task["taskUUID"]] = task
        async with client_of(server, journal=journal) as client:
            (left,) = await left_by(client)
    assert isinstance(left.result, UpscaleResult)


async def test_bytes_and_options_are_sent_again_as_they_were(path: Path) -> None:
    image = bytes(range(256)) * 8000
    with ScriptedServer(silent) as server:
        journal = await kills(
            server, path, image, upscale_factor=2, output_format="PNG", output_quality=30
        )
        async with client_of(server, journal=journal) as client:
            await left_by(client)
        first, again = server.of_kind("upscale")
    assert first == again
    assert again["inputs"]["image"] == base64_of(image)


async def test_an_error_in_answer_to_the_next_process_runs_nothing_under_another_uuid(
    path: Path,
) -> None:
    async def has_trouble_once(connection: Connection) -> None:
        await connection.accept()
        (question,) = await connection.take(1, "getResponse")
        failure = error("serviceUnavailable", question, taskType="imageUpscale")
        await connection.send(errors=[failure])
        await connection.serve()

    with ScriptedServer(silent, has_trouble_once) as server:
        journal = await kills(server, path, b"an image")
        async with client_of(server, journal=journal) as client:
            (left,) = await left_by(client)
        first, second = server.of_kind("upscale")
    assert left.result is not None
    assert left.result.attempts == 1
    assert first["taskUUID"] == second["taskUUID"]
    assert first["inputs"] == second["inputs"]
    assert in_file(journal) == []


@pytest.fixture
async def silenced() -> AsyncIterator[Emulator]:
    """The first connection gets no result, and is heard no more once there is one."""
    async with Emulator(faults=[Silence(nth=1)]) as emulator:
        yield emulator


async def test_a_client_that_closes_leaves_all_to_the_next_one(
    path: Path, silenced: Emulator, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (4, 4)).save(photo)
    async with client_of(silenced, journal=path) as client:
        tasks = [await client.submit(photo) for _ in range(5)]
        with anyio.fail_after(20):
            while not silenced.faults_struck:  # noqa: ASYNC110  # it has no event for this
                await anyio.sleep(0.01)
    failures = [await outcome_of(task) for task in tasks]
    assert all(isinstance(one, ClientClosedError) for one in failures)
    async with client_of(silenced, journal=path) as client:
        left = await left_by(client)
    assert [one.source for one in left] == [photo] * 5
    assert all(one.result is not None for one in left)
    assert set(silenced.executions.values()) == {1}
    assert len(silenced.executions) == 5
