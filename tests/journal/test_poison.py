"""Answers that cannot be kept or read cost their own task at most, in this life and in the next."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runware_ws import ResultLostError, TaskTimeoutError, UpscaleResult
from runware_ws.journal.store import Journal
from runware_ws.protocol.wire import decode, encode_item
from tests.journal.clients import in_file, left_by
from tests.journal.files import entries_of, opened
from tests.support.answers import Item, result
from tests.support.clients import client_of, outcome_of
from tests.support.scripted import Connection, ScriptedServer, silent

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


POISONS = {
    "nested too deeply to be written": f'"extra": {nested(300)}',
    "half a surrogate pair": '"extra": "\\ud83d"',
    "half a surrogate pair as a name": '"\\udc00": 1',
    "too large a number": '"extra": 1e400',
    "no number": '"extra": NaN',
    "too large a cost": '"cost": 1e400',
    "a long integer": f'"extra": {10**40}',
}


def poisoned(task: Item, poison: str, *others: Item) -> str:
    """A frame with a result that has such a member, and the results of others."""
    results = [json.dumps(result(other)) for other in (task, *others)]
    return f'{{"data": [{results[0][:-1]}, {poison}}}, {", ".join(results[1:])}]}}'.replace(
        ", ]", "]"
    )


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
async def test_a_poison_in_a_result_costs_not_even_its_own_task(path: Path, poison: str) -> None:
    async def answers(connection: Connection) -> None:
        await connection.accept()
        tasks = await connection.take(3)
        await connection.send_raw(poisoned(tasks[0], poison, *tasks[1:]))
        await connection.serve()

    with ScriptedServer(answers) as server:
        async with client_of(server, journal=path) as client:
            tasks = [await client.submit(b"an image") for _ in range(3)]
            outcomes = [await outcome_of(task) for task in tasks]
            assert all(isinstance(one, UpscaleResult) and one.image_url for one in outcomes)
            assert (await client.upscale(b"another")).image_url
            assert client.state == "connected"
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
            assert (await client.upscale(b"another")).image_url
        assert len(server.of_kind("upscale")) == 5
    assert all(one.unwrap().image_url for one in left)
    assert {task.task_uuid for task in tasks} <= {one.unwrap().task_uuid for one in left}
    assert len(left) == 4


async def test_one_that_cannot_be_read_costs_nobody_else(path: Path) -> None:
    """The service sends it again whenever it is asked."""
    victims: set[str] = set()

    async def serves(connection: Connection) -> None:
        await connection.accept()
        while True:
            for task in await connection.receive():
                if task["taskType"] == "upscale" and not victims:
                    victims.add(task["taskUUID"])
                if task.get("taskUUID") in victims:
                    await connection.send_raw(poisoned(task, f'"extra": {nested(200_000)}'))
                else:
                    await connection.answer(task)

    with ScriptedServer(serves, serves) as server:
        async with client_of(server, journal=path) as client:
            tasks = [await client.submit(b"an image", timeout=limit) for limit in (1, 20, 20)]
            outcomes = [await outcome_of(task) for task in tasks]
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
            assert (await client.upscale(b"another")).image_url
    assert isinstance(outcomes[0], TaskTimeoutError)
    assert all(isinstance(one, UpscaleResult) for one in outcomes[1:])
    assert {one.unwrap().task_uuid for one in left} == {task.task_uuid for task in tasks[1:]}


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda answer: answer[:-5],
    "no JSON": lambda _: b"\xff\x00\xff",
    "no object": lambda _: b"[1]",
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("how", SPOILED)
async def test_a_result_in_the_journal_that_is_damaged_is_set_apart(
    path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ScriptedServer() as server:
        async with client_of(server, journal=path) as client:
            tasks = [await client.submit(b"an image", tag=number) for number in range(3)]
            await client.drain()
        victim = tasks[1].task_uuid
        damage(path, victim, SPOILED[how])
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
        assert [one.tag for one in left] == [0, 1, 2]
        failure = left[1].error
        assert isinstance(failure, ResultLostError)
        assert failure.task_uuid == victim
        assert "'unreadable'" in str(failure)
        assert left[0].unwrap().task_uuid == tasks[0].task_uuid
        assert left[2].unwrap().task_uuid == tasks[2].task_uuid
        async with client_of(server, journal=path) as client:  # and not again
            assert await left_by(client) == []
            again = await client.attach(victim)  # the service may still have it
            assert (await again).task_uuid == victim
    assert in_file(path) == []
    assert [one.levelno for one in caplog.records].count(logging.ERROR) == 1
    with opened(path) as journal:
        ((name, _),) = rows_of(journal, "SELECT * FROM unreadable")
        assert name == victim


async def test_a_tag_that_is_damaged_costs_the_tag(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ScriptedServer(silent) as server:
        async with client_of(server, journal=path) as client:
            task = await client.submit(b"an image", tag={"row": 1})
        with opened(path) as journal:
            journal._database.execute("UPDATE task SET tag=?", (b'{"row":',))
        async with client_of(server, journal=path) as client:
            (left,) = await left_by(client)
    assert left.unwrap().task_uuid == task.task_uuid
    assert left.tag is None
    assert any("tag" in one.getMessage() for one in caplog.records)


def damage(path: Path, uuid: str, how: Callable[[bytes], bytes]) -> None:
    with opened(path) as journal:
        (row,) = [entry.row for entry in entries_of(journal) if entry.uuid == uuid]
        spoiled = how(journal.answer(row))
        journal._database.execute("UPDATE task SET result=? WHERE uuid=?", (spoiled, uuid))


def rows_of(journal: Journal, query: str) -> list[Any]:
    return journal._database.execute(query).fetchall()


def test_a_frame_without_a_value_here_is_mended() -> None:
    (item, other), errors = decode('{"data":[{"a":"\\ud83d!","b":1e400,"c":-1e999},{"d":1.5}]}')
    assert not errors
    assert (item, other) == ({"a": "?!", "b": None, "c": None}, {"d": 1.5})
    assert encode_item(item)
