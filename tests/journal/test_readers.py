"""Readers that die lose nothing, and readers that come for one outcome each leave nothing."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from runware_ws import RunwareClient, TaskTimeoutError, UpscaleResult
from runware_ws.batch import Outcome, OutcomeIterator
from runware_ws.runtime.concurrency import run_in_thread
from runware_ws.runtime.submission import Submission
from tests.journal.clients import in_file, left_by, snapshot
from tests.support.answers import JPEG, base64_of, result
from tests.support.clients import IMAGE, client_of, served
from tests.support.scripted import Connection, ScriptedServer, silent

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


def images(count: int) -> list[str]:
    return [f"https://example.com/{number}.jpg" for number in range(count)]


def alive(kind: type) -> int:
    """How many objects of a class there are."""
    gc.collect()
    return sum(type(one) is kind for one in gc.get_objects())


def is_inline(task: dict[str, Any]) -> bool:
    return bool(task["taskType"] == "upscale" and task["inputs"]["image"] != IMAGE)


async def sends_images(connection: Connection) -> None:
    await connection.accept()
    while True:
        for task in await connection.receive():
            await connection.send(result(task, imageBase64Data=base64_of(JPEG)))


@pytest.mark.long
async def test_a_task_for_each_of_1000_saved_outcomes_leaves_nothing_behind(
    path: Path, tmp_path: Path
) -> None:
    before = {kind: alive(kind) for kind in (Submission, UpscaleResult)}
    async with served(sends_images, journal=path) as (_, client):
        outcomes = client.upscale_many(images(1000))

        async def save_one(number: int) -> None:
            outcome = await anext(outcomes)
            await outcome.unwrap().save(tmp_path / "out" / str(number))

        for wave in range(0, 1000, 50):
            async with anyio.create_task_group() as group:
                for number in range(wave, wave + 50):
                    group.start_soon(save_one, number)
        assert len(list((tmp_path / "out").iterdir())) == 1000
        assert {kind: alive(kind) for kind in before} == before
        assert client._submitter is not None
        assert client._submitter.driver.writer is not None
        assert not client._submitter.driver.writer.unacknowledged
    assert in_file(path) == []


class Readers:
    """Tasks that read outcomes and die at some moment.

    Attributes:
        saved: the sources of the outcomes that were saved before that.
    """

    def __init__(self) -> None:
        self.saved: list[str] = []

    async def dies_with_one_in_hand(self, outcomes: OutcomeIterator[Any]) -> None:
        with anyio.CancelScope() as scope:
            await anext(outcomes)
            scope.cancel()
            await anyio.lowlevel.checkpoint()
            raise AssertionError("not reached")

    async def dies_in_its_third_turn(self, outcomes: OutcomeIterator[Any]) -> None:
        turns = 0
        async for outcome in outcomes:
            turns += 1
            if turns == 3:
                return
            self.save(outcome)

    async def acknowledges_by_hand(self, outcomes: OutcomeIterator[Any]) -> None:
        outcome = await anext(outcomes)
        outcome.unwrap().ack()
        self.save(outcome)

    def save(self, outcome: Outcome[Any]) -> None:
        assert outcome.result is not None
        self.saved.append(str(outcome.source))

    async def all_read(self, outcomes: OutcomeIterator[Any], rounds: int) -> None:
        """So many of each kind read at the same time, five outcomes a round."""
        async with anyio.create_task_group() as group:
            for _ in range(rounds):
                group.start_soon(self.dies_with_one_in_hand, outcomes)
                group.start_soon(self.dies_in_its_third_turn, outcomes)
                group.start_soon(self.acknowledges_by_hand, outcomes)


@pytest.mark.parametrize("ordered", [False, True])
async def test_readers_that_die_lose_nothing(path: Path, ordered: bool) -> None:
    readers = Readers()
    with ScriptedServer() as server:
        async with client_of(server, journal=path) as client:
            await readers.all_read(client.upscale_many(images(200), ordered=ordered), 40)
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
        assert len(server.executed) == 200
    assert len(readers.saved) == 120
    assert sorted([*readers.saved, *(str(one.source) for one in left)]) == sorted(images(200))
    assert in_file(path) == []


async def test_nor_do_readers_of_what_an_earlier_process_left(path: Path) -> None:
    readers = Readers()
    with ScriptedServer() as server:
        async with client_of(server, journal=path, max_in_flight=100) as client:
            for image in images(50):
                await client.submit(image)
            await client.drain()
            for image in images(100)[50:]:
                await client.submit(image)
        async with client_of(server, journal=path) as client:
            await readers.all_read(client.recovered(), 20)
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
        assert len(set(server.executed)) == len(server.executed) == 100
    assert len(readers.saved) == 60
    assert sorted([*readers.saved, *(str(one.source) for one in left)]) == sorted(images(100))


async def test_callers_that_give_up_leave_nothing_behind(path: Path) -> None:
    before = alive(Submission)

    async def times_out(client: RunwareClient) -> None:
        with pytest.raises(TaskTimeoutError):
            await client.upscale(IMAGE, timeout=0.5)

    async def is_cancelled(client: RunwareClient, scope: anyio.CancelScope) -> None:
        with scope:
            await client.upscale(b"an image")

    async def cancels(client: RunwareClient, server: ScriptedServer) -> None:
        task = await client.submit(b"an image")
        await server.until(lambda: any(one["taskUUID"] == task.task_uuid for one in server.tasks))
        task.cancel()

    with ScriptedServer(silent) as server:
        async with client_of(server, journal=path, max_in_flight=300) as client:
            scopes = [anyio.CancelScope() for _ in range(50)]
            async with anyio.create_task_group() as group:
                for scope in scopes:
                    group.start_soon(times_out, client)
                    group.start_soon(is_cancelled, client, scope)
                    group.start_soon(cancels, client, server)
                await server.until(lambda: sum(is_inline(one) for one in server.tasks) == 100)
                for scope in scopes:
                    scope.cancel()
            assert await client.drain(20)
            assert client._submitter is not None
            assert client._submitter.driver.writer is not None
            client._submitter.driver.writer.touch()
            await client._submitter.driver.writer.flush()
            assert in_file(snapshot(path)) == []
            assert alive(Submission) == before


async def test_slow_savers_hold_up_no_other_task(path: Path) -> None:
    saving = threading.Event()
    async with served(journal=path) as (_, client), anyio.create_task_group() as group:
        for _ in range(40):  # more than there are threads
            group.start_soon(run_in_thread, saving.wait, 20)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(15):
            assert (await client.upscale(IMAGE)).image_url
        saving.set()
