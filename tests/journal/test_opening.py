"""A journal that holds much is opened in slices, and what it holds is loaded in its turn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from runware_ws import ClientClosedError, InputError, TaskNotFoundError
from runware_ws.journal import loading, recovery
from runware_ws.journal.changes import KeepResult
from runware_ws.journal.origin import Origin, digest
from runware_ws.journal.store import Journal
from runware_ws.protocol.wire import encode_task
from tests.journal.clients import in_file, left_by
from tests.journal.files import keep, opened, uuid_of
from tests.support.answers import JPEG, base64_of, error, result
from tests.support.clients import client_of
from tests.support.scripted import Connection, ScriptedServer, silent

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def small_window(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(recovery, "_MIN_WINDOW", 10)
    return 10


def fill(path: Path, count: int, image: str | bytes = "https://example.com/a.jpg") -> None:
    """A journal with so many tasks that are not settled."""
    with opened(path) as journal:
        journal.commit([keep(number, image) for number in range(count)], None)


def fill_with_files(path: Path, photo: Path, count: int) -> None:
    hashed = digest(base64_of(photo.read_bytes()).encode())

    def origin(number: int) -> Origin:
        request = encode_task({"taskType": "upscale", "taskUUID": uuid_of(number)})
        return Origin(number + 1, request, str(photo), hashed)

    with opened(path) as journal:
        journal.commit([keep(number, origin=origin(number)) for number in range(count)], None)


def knows(server: ScriptedServer, count: int) -> None:
    for number in range(count):
        server.known[uuid_of(number)] = {"taskType": "upscale", "taskUUID": uuid_of(number)}


class Calls:
    """Calls of a function that go on as before, each with its result and its thread."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        self.results: list[Any] = []
        self.threads: set[threading.Thread] = set()
        function: Callable[..., Any] = getattr(owner, name)

        def noted(*args: Any) -> Any:
            self.threads.add(threading.current_thread())
            self.results.append(function(*args))
            return self.results[-1]

        patch.setattr(owner, name, noted)


async def test_it_is_read_in_slices_and_not_on_the_event_loop(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as journal:
        journal.commit([keep(number) for number in range(1000)], None)
        changes = [KeepResult(n + 1, {"taskUUID": uuid_of(n)}) for n in range(500)]
        journal.commit(changes, None)
    slices = Calls(monkeypatch, Journal, "rows")
    with ScriptedServer() as server:
        knows(server, 1000)
        async with client_of(server, journal=path) as client:
            assert max(len(one) for one in slices.results) <= 200
            assert threading.main_thread() not in slices.threads
            left = await left_by(client)
    assert {one.unwrap().task_uuid for one in left} == {uuid_of(number) for number in range(1000)}
    assert in_file(path) == []


async def test_nothing_connects_before_it_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path, 300)
    connected: list[int] = []
    with ScriptedServer() as server:
        rows = Journal.rows

        def noted(journal: Journal, after: int = -1, limit: int = -1) -> Any:
            connected.append(len(server.connections))
            return rows(journal, after, limit)

        monkeypatch.setattr(Journal, "rows", noted)
        async with client_of(server, journal=path) as client:
            assert len(await left_by(client)) == 300
    assert len(connected) == 3
    assert set(connected) == {0}


@pytest.mark.parametrize("kind", ["bytes", "files"])
async def test_what_the_service_knows_is_never_loaded(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(JPEG)
    if kind == "files":
        fill_with_files(path, photo, 100)
        photo.unlink()
    else:
        fill(path, 100, b"QUJD" * 10_000)
    loads = Calls(monkeypatch, Journal, "request")
    with ScriptedServer() as server:
        knows(server, 100)
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
    assert all(one.result is not None for one in left)
    assert len(left) == 100
    assert not loads.results


@pytest.mark.usefixtures("small_window")
async def test_what_it_does_not_know_is_loaded_and_sent_as_much_as_may_be_in_flight(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(JPEG)
    fill_with_files(path, photo, 30)
    reads = Calls(monkeypatch, loading, "encode_file")
    held: list[Any] = []
    released = threading.Event()

    async def holds_back(connection: Connection) -> None:
        await connection.accept()
        while not released.is_set():
            for task in await connection.receive():
                if task["taskType"] == "upscale":
                    held.append(task)
                else:
                    await connection.answer(task)
        await connection.answer(*held)
        await connection.serve()

    with ScriptedServer(holds_back) as server:
        async with client_of(server, journal=path, max_in_flight=4) as client:
            await server.until(lambda: len(server.of_kind("upscale")) == 4)
            for _ in range(10):
                await client.ping()
            assert len(reads.results) == len(held) == 4
            released.set()
            await client.ping()
            left = await left_by(client)
        images = {task["inputs"]["image"] for task in server.of_kind("upscale")}
        assert sorted(server.executed) == sorted(uuid_of(number) for number in range(30))
    assert images == {base64_of(JPEG)}
    assert all(one.source == photo and one.result is not None for one in left)
    assert len(left) == 30


@pytest.mark.usefixtures("small_window")
async def test_images_larger_than_the_limit_of_bytes_are_sent_all_the_same(path: Path) -> None:
    fill(path, 8, b"QUJD" * 1000)
    with ScriptedServer() as server:
        limits: dict[str, Any] = {"max_in_flight": 5, "max_in_flight_bytes": 10}
        async with client_of(server, journal=path, **limits) as client:
            assert len(await left_by(client)) == 8
        assert all(len(task["inputs"]["image"]) == 4000 for task in server.of_kind("upscale"))
        assert len(server.executed) == 8


async def test_what_is_loaded_is_right_whatever_attempt_it_is(path: Path) -> None:
    """A service fails each task at first, so that it is run again under another UUID."""
    fill(path, 3, b"an image")

    async def fails_each_once(connection: Connection) -> None:
        await connection.accept()
        failed = 0
        while failed < 3:
            for task in await connection.receive():
                if task["taskType"] == "upscale":
                    failed += 1
                    await connection.send(errors=[error("internalServerError", task)])
                else:
                    await connection.answer(task)
        await connection.serve()

    with ScriptedServer(fails_each_once) as server:
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
        sent = server.of_kind("upscale")
    assert {one.unwrap().task_uuid for one in left} == {uuid_of(number) for number in range(3)}
    assert {one.unwrap().attempts for one in left} == {2}
    assert len({task["taskUUID"] for task in sent}) == 6
    assert {task["inputs"]["image"] for task in sent} == {"an image"}


@pytest.mark.usefixtures("small_window")
async def test_a_replay_of_a_task_whose_turn_has_not_come_is_taken(path: Path) -> None:
    fill(path, 30)

    async def replays_the_last(connection: Connection) -> None:
        await connection.accept()
        task = {"taskUUID": uuid_of(29).upper()}
        await connection.send(result(task, imageURL="https://example.com/replayed.jpg"))
        await connection.serve()

    with ScriptedServer(replays_the_last) as server:
        knows(server, 29)
        async with client_of(server, journal=path, max_in_flight=1) as client:
            left = {one.unwrap().task_uuid: one.unwrap() for one in await left_by(client)}
    assert len(left) == 30
    assert left[uuid_of(29)].image_url == "https://example.com/replayed.jpg"
    assert not server.executed


@pytest.mark.usefixtures("small_window")
async def test_a_task_whose_turn_has_not_come_can_be_attached_to(path: Path) -> None:
    fill(path, 30)
    with ScriptedServer(silent) as server:
        async with client_of(server, journal=path, max_in_flight=1) as client:
            assert sum(client.stats().tasks.values()) == 10
            task = await client.attach(uuid_of(29))
            assert task.state == "reconciling"
            with pytest.raises(InputError, match="in use"):
                await client.submit(b"an image", task_uuid=uuid_of(28))
            assert sum(client.stats().tasks.values()) == 12
    assert len(in_file(path)) == 30


@pytest.mark.usefixtures("small_window")
async def test_closing_leaves_those_whose_turn_has_not_come_to_the_next_client(path: Path) -> None:
    fill(path, 30)
    with ScriptedServer(silent) as server:
        async with client_of(server, journal=path, max_in_flight=1) as client:
            await server.until(lambda: len(server.of_kind("getResponse")) == 10)
        outcomes = client.recovered()
        failed = [await anext(outcomes) for _ in range(10)]
        assert {type(one.error) for one in failed} == {ClientClosedError}
        with pytest.raises(ClientClosedError):
            await anext(outcomes)
    assert len(in_file(path)) == 30


@pytest.mark.usefixtures("small_window")
async def test_a_drain_waits_for_them_too(path: Path) -> None:
    fill(path, 30)
    with ScriptedServer() as server:
        async with client_of(server, journal=path, max_in_flight=5) as client:
            assert await client.drain(20)
            assert len(server.executed) == 30


async def test_opening_can_be_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path, 300)
    reading, go_on = anyio.Event(), threading.Event()
    rows = Journal.rows

    def held_up(journal: Journal, after: int = -1, limit: int = -1) -> Any:
        anyio.from_thread.run_sync(reading.set)
        go_on.wait(20)
        return rows(journal, after, limit)

    monkeypatch.setattr(Journal, "rows", held_up)
    with ScriptedServer() as server:
        client = client_of(server, journal=path)
        async with anyio.create_task_group() as group:
            group.start_soon(client.connect)
            await reading.wait()
            group.cancel_scope.cancel()
            go_on.set()
        assert client.state == "closed"
        assert not server.connections
    monkeypatch.undo()
    assert len(in_file(path)) == 300  # and it is not in use


async def test_a_request_that_is_damaged_costs_its_own_task_only(path: Path) -> None:
    fill(path, 3)
    with opened(path) as journal:
        journal._database.execute(
            "UPDATE task SET request=? WHERE uuid=?", (b'[{"taskUUID":\xff', uuid_of(1))
        )
    with ScriptedServer() as server:
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
        assert sorted(server.executed) == [uuid_of(0), uuid_of(2)]
    (failure,) = [one.error for one in left if one.error is not None]
    assert isinstance(failure, TaskNotFoundError)
    assert "its request in the journal is damaged" in str(failure)
    assert in_file(path) == []
