"""Test a line that falls silent while both ends believe in it: it is found, and nothing is lost.

What is promised in seconds is tried on the core, where the time is ours; on sockets the waits are
cut short, and the order of things is what counts.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress

import anyio
import pytest

from runware_ws import RunwareClient, UpscaleResult
from runware_ws.emulator import Emulator, Relay
from runware_ws.emulator.relay import Direction
from runware_ws.events import Events
from runware_ws.protocol.effects import Connect, Disconnect
from runware_ws.protocol.session import Session
from runware_ws.protocol.tasks import Question
from tests.client.test_moments import accept, connect, connected, hear, submit, write_all
from tests.emulator.bench import picture
from tests.support.clients import IMAGE, QUICK, client_of, hasty, outcome_of, served
from tests.support.scripted import Connection, Gate

PATIENCE = 30.0
PING = [{"taskType": "ping", "ping": True}]
# More than all the buffers of the line can hold: the relay's, and those of the system.
LARGE = picture() + bytes(12 * 1024 * 1024)


def reconnected(now: float) -> Session:
    """A session with a task that was cut off, and that asks for it on a new connection."""
    session = connected()
    submit(session, 1)
    write_all(session, 0)
    session.main.lost("gone", now)
    connect(session, now)
    accept(session, now)
    return session


def silent_until(session: Session, end: float) -> float | None:
    """Let nothing come in. When the connection is dropped, if it is."""
    while (moment := session.next_timer()) is not None and moment < end:
        session.handle_timer(moment)
        if Disconnect(0) in session.take_effects():
            return moment
        write_all(session, moment)
    return None


def test_silence_in_place_of_an_answer_ends_with_the_connection_and_costs_no_task() -> None:
    session = reconnected(1)
    # The question is unanswered after 5 seconds, and the ping after 10 more.
    assert silent_until(session, 600) == pytest.approx(16.0, abs=0.3)
    assert len(session.tasks) == 1


def test_a_question_that_was_lost_is_noticed_as_soon_as_the_line_shows_life() -> None:
    session = reconnected(1)
    assert silent_until(session, 6.5) is None, "the ping is under way by now"
    hear(session, 6.5, {"taskType": "ping", "pong": True})
    assert silent_until(session, 9.0) is None
    (task,) = session.tasks.values()
    assert task.asked is Question.DETAILS, "it is asked for in the other way"


def test_a_clock_that_jumped_counts_as_silence() -> None:
    session = connected()
    submit(session, 3)
    write_all(session, 0)
    session.main.traffic(0, 0, 0, 3600)
    session.handle_timer(3600)
    assert Disconnect(0) in session.take_effects()
    session.handle_timer(3600)
    assert session.take_effects() == [Connect(0)], "at once"
    assert len(session.tasks) == 3


def test_a_ping_behind_a_standing_upload_does_not_put_the_end_off() -> None:
    """As after the machine slept: a ping is wanted at once, and cannot be written."""
    session = connected()
    (task,) = submit(session, 1)
    assert session.main.next_frame(0) is not None
    assert session.ping()
    now, dropped = 0.0, False
    while not dropped:
        now += 1
        session.main.traffic(0, len(task.payload), 0, now)
        session.handle_timer(now)
        dropped = Disconnect(0) in session.take_effects()
    assert now <= PATIENCE


async def until_lost(events: Events) -> None:
    async for event in events:
        if event.kind == "lost":
            return


async def until_passed(relay: Relay, count: int) -> None:
    while relay.bytes_up < count:  # noqa: ASYNC110  # it has no event for this
        await anyio.sleep(0.01)


@pytest.mark.anyio
@pytest.mark.parametrize("swallow", [False, True])
@pytest.mark.parametrize("direction", ["up", "down", "both"])
async def test_a_silence_in_the_middle_of_an_upload_is_found_and_nothing_runs_twice(
    direction: Direction, swallow: bool
) -> None:
    async with Emulator() as emulator, Relay(emulator.url) as relay:
        async with client_of(
            emulator, url=relay.url, keepalive=0.2, ping_timeout=0.2, connect_timeout=1
        ) as client:
            events = client.events()
            relay.throttle(10_000_000, "up")
            with anyio.fail_after(PATIENCE):
                tasks = [await client.submit(image) for image in (picture(), LARGE, picture())]
                await until_passed(relay, 500_000)
                relay.silence(direction, swallow=swallow)
                relay.throttle(1e9, "up")  # for what gets through in one direction alone
                await until_lost(events)
                relay.resume()
                found = [await task for task in tasks]
        assert [one.task_uuid for one in found] == [task.task_uuid for task in tasks]
        assert emulator.executions == {task.task_uuid: 1 for task in tasks}


@pytest.mark.anyio
@pytest.mark.parametrize("end", ["reset", "end", "no HTTP"])
async def test_a_line_that_breaks_during_the_handshake_is_tried_again(end: str) -> None:
    def break_lines() -> None:
        with suppress(OSError):
            while True:
                line, _ = listener.accept()
                with line:
                    line.recv(4096)
                    if end == "reset":
                        line.setsockopt(
                            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                        )
                    elif end == "no HTTP":
                        line.sendall(b"220 mail.example.com ready\r\n")

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=break_lines)
    thread.start()
    try:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/v1"
        async with hasty(RunwareClient("key", url=url), QUICK) as client:
            events = client.events()
            with anyio.fail_after(PATIENCE):
                details = [(await anext(events)).detail for _ in range(3)]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
    expected = {"reset": "handshake", "end": "handshake", "no HTTP": "does not speak WebSocket"}
    assert all(expected[end] in detail for detail in details), details


@pytest.mark.anyio
async def test_a_client_can_be_closed_in_the_middle_of_an_upload_into_a_silence() -> None:
    async with Emulator() as emulator, Relay(emulator.url) as relay:
        client = client_of(emulator, url=relay.url)
        await client.connect()
        relay.silence()
        await client.submit(LARGE)
        with anyio.fail_after(PATIENCE):
            await client.aclose()


async def read_slowly(connection: Connection, pieces: int, pause: float) -> None:
    """Take in so many pieces, at the pace of a slow line that hides nothing in its buffers."""
    transport = connection._socket.transport
    peer = transport.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    for _ in range(pieces):
        transport.pause_reading()
        await asyncio.sleep(pause)
        transport.resume_reading()
        for _ in range(2):  # so that it is read once
            await asyncio.sleep(0)


@pytest.mark.anyio
@pytest.mark.parametrize("end", ["", "goodbye", "half close"])
async def test_what_comes_during_an_upload_that_makes_no_way_is_heard(end: str) -> None:
    async def is_deaf(connection: Connection) -> None:
        await connection.accept()
        (small,) = await connection.take()
        connection.stop_reading()
        await submitted.wait()
        await connection.answer(small)
        if end == "goodbye":
            connection.write_raw(b"\x88\x02" + (1001).to_bytes(2))
        elif end:
            connection.half_close()
        await asyncio.Event().wait()

    submitted = Gate()
    async with served(is_deaf, keepalive=600, ping_timeout=600) as (server, client):
        small = await client.submit(IMAGE)
        await server.until(lambda: len(server.tasks) == 1)
        large = await client.submit(LARGE)
        submitted.open()
        assert isinstance(await outcome_of(small), UpscaleResult)
        if end:
            assert isinstance(await outcome_of(large), UpscaleResult)
            assert len(server.connections) == 2


@pytest.mark.anyio
async def test_an_upload_that_takes_longer_than_the_patience_is_left_alone() -> None:
    async def is_slow(connection: Connection) -> None:
        await connection.accept()
        await read_slowly(connection, pieces=24, pause=0.05)
        await connection.serve()

    async with served(is_slow, keepalive=0.5, ping_timeout=0.5) as (server, client):
        assert isinstance(await outcome_of(await client.submit(LARGE)), UpscaleResult)
        assert len(server.connections) == 1
