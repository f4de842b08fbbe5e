"""The blocking client does what the asynchronous one does, from one thread or from many."""

from __future__ import annotations

import asyncio
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from runware_ws import (
    AuthenticationError,
    ClientClosedError,
    InputError,
    TaskCancelledError,
    TaskError,
    TaskTimeoutError,
)
from runware_ws.sync import RunwareClient
from tests.journal.clients import in_file, snapshot
from tests.support.answers import JPEG, base64_of, error, result
from tests.support.clients import IMAGE, KEY
from tests.support.connection import silent
from tests.support.scripted import Connection, Gate, Script, ScriptedServer, replying

UUID4 = "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"
sends_an_image = replying(
    lambda task: {"data": [result(task, imageBase64Data=base64_of(JPEG))]},
)


@contextmanager
def served(
    *scripts: Script | None, **options: Any
) -> Iterator[tuple[ScriptedServer, RunwareClient]]:
    with (
        ScriptedServer(*scripts) as server,
        RunwareClient(KEY, url=server.url, doubt_window=0.1, **options) as client,
    ):
        yield server, client


def until(server: ScriptedServer, condition: Callable[[], Any]) -> None:
    anyio.run(server.until, condition)


def test_an_image_is_upscaled_and_saved(tmp_path: Path) -> None:
    with served(sends_an_image) as (server, client):
        done = client.upscale(IMAGE, upscale_factor=2, tag="mine")
        assert done.read() == done.data == JPEG
        assert done.tag == "mine"
        assert done.save(tmp_path / "photo") == tmp_path / "photo.jpg"
        assert server.tasks[0]["upscaleFactor"] == 2
        assert client.stats().state == "connected"
        assert client.session_uuid == server.connections[0].session
        assert client.stats().succeeded == 1
        assert client.drain(timeout=1)
    assert client.state == "closed"
    assert (tmp_path / "photo.jpg").read_bytes() == JPEG


def test_a_result_may_be_saved_when_its_client_is_closed(tmp_path: Path) -> None:
    with served(sends_an_image) as (_, client):
        done = client.upscale(IMAGE)
    assert done.save(tmp_path / "photo").read_bytes() == JPEG
    assert pickle.loads(pickle.dumps(done)).read() == JPEG


def test_a_task_is_submitted_waited_for_and_attached_to() -> None:
    with served() as (_, client):
        task = client.submit(IMAGE, task_uuid=UUID4)
        assert task.result().image_url
        assert (task.done, task.state, task.task_uuid) == (True, "settled", UUID4)
        assert client.attach(UUID4).result().task_uuid == UUID4
        assert client.ping() < 10


def test_any_other_task_is_run() -> None:
    found = replying(lambda task: {"data": [{**task, "results": [], "balance": 2.5}]})
    with served(found) as (_, client):
        assert client.run({"taskType": "modelSearch", "search": "portrait"})["results"] == []
        assert client.balance() == 2.5


def test_a_task_is_given_up() -> None:
    with served(silent) as (_, client):
        task = client.submit(IMAGE)
        task.cancel()
        with pytest.raises(TaskCancelledError, match=task.task_uuid):
            task.result()


def test_errors_are_those_of_the_asynchronous_client() -> None:
    refuses = replying(lambda task: {"errors": [error("invalidImage", task)]})
    with served(refuses, silent) as (_, client):
        with pytest.raises(TaskError, match="invalidImage"):
            client.upscale(IMAGE)
        with pytest.raises(InputError, match="upscale_factor"):
            client.upscale(IMAGE, upscale_factor=3)  # type: ignore[arg-type]  # is refused
        with pytest.raises(InputError, match="single image"):
            client.upscale_many("photo.jpg")
        with pytest.raises(TypeError, match="unknown"):
            client.upscale(IMAGE, unknown=1)  # type: ignore[call-arg]  # is refused
    with served(silent) as (_, client), pytest.raises(TaskTimeoutError):
        client.upscale(IMAGE, timeout=0.01)


def test_a_client_that_is_not_open_says_so() -> None:
    client = RunwareClient(KEY, url="ws://127.0.0.1:1")
    assert client.state == "new"
    assert client.stats().submitted == 0
    with pytest.raises(ClientClosedError, match="not open") as refused:
        client.upscale(IMAGE)
    assert "async" not in str(refused.value)
    assert "await" not in str(refused.value)
    client.close()
    with pytest.raises(ClientClosedError, match="closed"):
        client.connect()
    client.close()


async def refuses_the_key(connection: Connection) -> None:
    await connection.receive()
    refusal = error("invalidApiKey", taskType="authentication", parameter="apiKey")
    await connection.send(errors=[refusal])


def test_a_refused_key_is_raised_on_opening_and_shown_nowhere() -> None:
    with ScriptedServer(refuses_the_key) as server:
        client = RunwareClient(KEY, url=server.url)
        with pytest.raises(AuthenticationError) as raised:
            client.connect()
    assert client.state == "failed"
    with pytest.raises(InputError) as refused:
        RunwareClient(KEY, url="http://example.com")
    for failure in (raised.value, refused.value):
        shown = traceback.TracebackException.from_exception(failure, capture_locals=True)
        assert KEY not in "".join(shown.format())


def test_many_threads_use_one_client_at_once() -> None:
    everybody = threading.Barrier(8)

    def upscale(number: int) -> str:
        everybody.wait()
        return client.upscale(f"https://example.com/{number}.jpg", tag=number).task_uuid

    with served() as (server, client), ThreadPoolExecutor(8) as threads:
        done = list(threads.map(upscale, range(8)))
    assert sorted(done) == sorted(server.executed)
    assert len(server.connections) == 1


def test_it_works_in_a_thread_that_runs_an_event_loop() -> None:
    async def cell_of_a_notebook() -> None:
        with served() as (_, client):
            assert client.upscale(IMAGE).image_url
            assert len(list(client.upscale_many([IMAGE, IMAGE]))) == 2

    asyncio.run(cell_of_a_notebook())


def test_closing_in_another_thread_ends_what_waits() -> None:
    with ThreadPoolExecutor(2) as threads, served(silent) as (server, client):
        waiting = threads.submit(client.upscale, IMAGE)
        events = client.events()
        watching = threads.submit(lambda: [event.kind for event in events])
        until(server, lambda: server.tasks)
        client.close()
        with pytest.raises(ClientClosedError):
            waiting.result(10)
        assert watching.result(10) == ["closed"]


def test_events_are_a_plain_iterator() -> None:
    async def drops(connection: Connection) -> None:
        await connection.accept()
        await dropped.wait()

    dropped = Gate()
    with served(drops) as (_, client):
        events = client.events()
        dropped.open()
        assert [next(events).kind for _ in range(2)] == ["lost", "connected"]
    assert [event.kind for event in events] == ["closed"]


def test_a_client_that_nobody_holds_any_more_is_closed() -> None:
    with ScriptedServer() as server:
        client = RunwareClient(KEY, url=server.url)
        client.connect()
        del client
        until(server, lambda: server.connections[0].closed == 1000)


def test_what_a_journal_holds_is_recovered_and_forgotten_with_the_next_turn(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with served(journal=path) as (_, client):
        names = {client.upscale(IMAGE).task_uuid for _ in range(3)}
    with served(journal=path) as (_, client):
        given: list[str] = []
        for outcome in client.recovered():
            given.append(outcome.unwrap().task_uuid)
            client.upscale(IMAGE).ack()  # the journal has written what came before this
            kept = {entry.uuid for entry in in_file(snapshot(path))}
            assert kept.intersection(given) == {given[-1]}
    assert sorted(given) == sorted(names)
    assert in_file(path) == []
