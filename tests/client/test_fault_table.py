"""Test the rows of the README's table of faults that have no better place."""

from __future__ import annotations

import asyncio
import io
import time

import anyio.to_thread
import pytest
from PIL import Image

from runware_ws import ResultLostError, UpscaleResult
from runware_ws.emulator import Emulator
from runware_ws.events import Events
from runware_ws.protocol.effects import Disconnect, Event, Settle
from runware_ws.protocol.session import Session
from runware_ws.protocol.timing import Timing
from tests.client.test_moments import connected, hear, submit, write_all
from tests.support.answers import error, result
from tests.support.clients import IMAGE, client_of, outcome_of, served
from tests.support.scripted import Connection


def photograph() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), "teal").save(file, "PNG")
    return file.getvalue()


@pytest.mark.anyio
async def test_a_server_that_restarts_and_forgets_everything_costs_no_task() -> None:
    with Emulator(latency=0.5) as emulator:
        async with client_of(emulator) as client:
            tasks = [await client.submit(photograph()) for _ in range(5)]
            for _ in range(2):  # the first may overtake them; and a result takes longer
                await client.ping()
            assert len(emulator.requests) == 8
            first = client.session_uuid
            await anyio.to_thread.run_sync(emulator.stop)
            await anyio.to_thread.run_sync(emulator.start)
            for task in tasks:
                assert isinstance(await outcome_of(task), UpscaleResult)
            assert emulator.executions == {task.task_uuid: 1 for task in tasks}
            assert client.session_uuid != first


@pytest.mark.anyio
async def test_after_the_machine_slept_the_connection_is_tried_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def is_dead(connection: Connection) -> None:
        await connection.accept()
        connection.stop_reading()
        await asyncio.Event().wait()

    async with served(is_dead, keepalive=600, ping_timeout=0.2) as (server, client):
        wall_clock = time.time
        monkeypatch.setattr(time, "time", lambda: wall_clock() + 3600)
        task = await client.submit(IMAGE, timeout=15)
        assert isinstance(await outcome_of(task), UpscaleResult)
        assert len(server.connections) == 2


def uploading(session: Session, bytes_per_second: int, seconds: int) -> float | None:
    """Let a large frame trickle out, with nothing coming in. When the connection is dropped."""
    size = 20_000_000
    submit(session, 1)
    assert session.main.next_frame(0) is not None
    for now in range(1, seconds):
        session.main.traffic(0, size - bytes_per_second * now, 0, now)
        session.handle_timer(now)
        if Disconnect(0) in session.take_effects():
            return now
    return None


def test_a_slow_upload_is_not_taken_for_silence() -> None:
    assert uploading(connected(), bytes_per_second=30_000, seconds=600) is None


def test_an_upload_that_stands_still_is_silence() -> None:
    dropped = uploading(connected(), bytes_per_second=0, seconds=600)
    assert dropped is not None
    assert dropped <= 31


def test_a_result_that_is_lost_is_asked_for() -> None:
    session = connected()
    (task,) = submit(session, 1)
    write_all(session, 0)
    frames, now = [], 0.0
    while now < Timing().overdue:  # the service is there, answers each ping, and says nothing else
        now += 10
        session.handle_timer(now)
        frames = write_all(session, now)
        if frames == [[{"taskType": "ping", "ping": True}]]:
            session.main.traffic(now, 0, 0, now)
            hear(session, now, {"taskType": "ping", "pong": True})
    assert frames == [[{"taskType": "getResponse", "taskUUID": task.uuid}]]
    session.take_effects()
    hear(session, now, {**result({"taskUUID": task.uuid}), "status": "success"})
    (settled,) = session.take_effects()
    assert isinstance(settled, Settle)
    assert settled.task is task


@pytest.mark.anyio
async def test_a_reader_of_events_that_is_slow_misses_the_oldest() -> None:
    events = Events(lambda: None)
    for number in range(1500):
        events._add(Event("lost", str(number)))
    events._add(Event("closed"))
    heard = [event.detail async for event in events]
    assert heard == [*map(str, range(501, 1500)), ""]


def test_a_task_that_the_service_knows_and_says_nothing_of_is_given_up_with_what_is_known() -> None:
    session = connected()
    (task,) = submit(session, 1)
    write_all(session, 0)
    hear(session, 1, errors=[error("conflictTaskUUID", {"taskUUID": task.uuid, "taskType": "x"})])
    session.take_effects()
    settled: list[Settle] = []
    now = 1.0
    while not settled and now < 600:
        now += 1
        session.main.traffic(now, 0, 0, now)
        session.handle_timer(now)
        for question in (one for frame in write_all(session, now) for one in frame):
            assert question["taskType"] != "upscale", "it is never run again"
            hear(session, now)
        settled = [one for one in session.take_effects() if isinstance(one, Settle)]
    (settle,) = settled
    assert isinstance(settle.outcome, ResultLostError)
    assert settle.outcome.task_uuid == task.uuid
    assert "billed" in str(settle.outcome)
    assert now > Timing().known_limit
