"""Test the core's timer: it never asks for a moment that has been dealt with.

No sockets: a session that asks to be called at once, each time it was called, keeps one processor
busy for nothing, and no test of behaviour would see it.
"""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from runware_ws.protocol.effects import Disconnect, Pong
from runware_ws.protocol.secret import Secret
from runware_ws.protocol.session import Session
from runware_ws.protocol.tasks import Task
from runware_ws.settings import Settings
from tests.support.answers import error, result

_numbers = count(1)


def new_uuid() -> str:
    return f"00000000-0000-4000-8000-{next(_numbers):012d}"


def session_of(**changed: Any) -> Session:
    settings = Settings(max_frame_bytes=10_000, **changed)
    return Session(settings, api_key=Secret("key"), new_uuid=new_uuid, rng=lambda: 0.5)


def hear(session: Session, now: float, *data: Any, errors: Any = ()) -> None:
    session.main.receive(json.dumps({"data": data, "errors": list(errors)}).encode(), now)


def write_all(session: Session, now: float) -> list[list[Any]]:
    """Everything that the session wants written; the tasks of each frame."""
    frames = []
    while (frame := session.main.next_frame(now)) is not None:
        session.main.written(frame, now)
        frames.append(json.loads(frame.data))
    return frames


def connect(session: Session, now: float) -> None:
    """A connection that waits for the reply to its authentication."""
    session.handle_timer(now)
    session.main.connected(now)
    write_all(session, now)


def accept(session: Session, now: float) -> None:
    hear(session, now, {"taskType": "authentication", "connectionSessionUUID": "S"})
    session.take_effects()


def connected(**changed: Any) -> Session:
    """A session with a connection that is ready, at the time 0."""
    session = session_of(**changed)
    session.start(0)
    connect(session, 0)
    accept(session, 0)
    return session


def submit(session: Session, number: int) -> list[Task]:
    uuids = [new_uuid() for _ in range(number)]
    tasks = [Task(uuid, json.dumps([{"taskUUID": uuid}]).encode()) for uuid in uuids]
    for task in tasks:
        session.submit(task, 0)
    return tasks


def assert_at_rest(session: Session, now: float) -> None:
    """As the driver goes about it: what is due is done, and then nothing is."""
    session.main.traffic(now, 0, 0, now)
    session.handle_timer(now)
    write_all(session, now)
    moment = session.next_timer()
    assert moment is None or moment > now


def test_a_keepalive_shorter_than_the_wait_for_the_key_is_no_reason_to_spin() -> None:
    session = session_of(keepalive=1.0)
    session.start(0)
    connect(session, 0)
    session.handle_timer(1.5)
    assert (session.next_timer() or 0) > 1.5


def test_the_search_for_an_owner_leaves_no_moment_behind() -> None:
    session = connected()
    tasks = submit(session, 3)
    write_all(session, 0)
    hear(session, 0.1, errors=[error("novelty")])
    session.handle_timer(0.2)
    assert not write_all(session, 0.2)  # the results may tell
    session.handle_timer(0.7)
    assert [one["taskType"] for one in write_all(session, 0.7)[0]] == ["getResponse"] * 3
    for task in tasks:
        hear(session, 0.8, result({"taskUUID": task.uuid}))
    assert not session.tasks
    for now in (1.0, 10.2, 10.4, 11.0, 15.0):
        assert_at_rest(session, now)


@pytest.mark.parametrize("resumed", [True, False])
def test_a_session_is_at_rest_whenever_it_was_looked_after(resumed: bool) -> None:
    session = connected()
    submit(session, 3)
    write_all(session, 0)
    session.main.lost("gone", 1)
    connect(session, 1)
    name = "S" if resumed else "T"
    hear(session, 1, {"taskType": "authentication", "connectionSessionUUID": name})
    for step in range(400):
        assert_at_rest(session, 1 + step / 8)


def test_a_pong_that_overtakes_the_writer_is_a_pong() -> None:
    """On a fast line the answer may be read before the writer's own task goes on."""
    session = connected()
    assert session.ping()
    frame = session.main.next_frame(1)
    assert frame is not None
    hear(session, 1.25, {"taskType": "ping", "pong": True})
    session.main.written(frame, 1.5)
    assert session.take_effects() == [Pong(0.25)]
    session.handle_timer(15)
    assert session.take_effects() == [], "and no reason to take the connection for dead"


def test_a_pong_without_a_ping_is_no_answer() -> None:
    session = connected()
    for _ in range(2):
        hear(session, 1, {"taskType": "ping", "pong": True})
    assert session.take_effects() == []


def test_silence_after_a_ping_drops_the_connection() -> None:
    session = connected()
    session.handle_timer(20)
    assert write_all(session, 20) == [[{"taskType": "ping", "ping": True}]]
    session.handle_timer(29.9)
    assert session.take_effects() == []
    session.handle_timer(30)
    assert session.take_effects()[0] == Disconnect(0)


def test_a_session_that_was_given_up_is_not_revived_by_a_refused_key() -> None:
    session = connected(max_reconnect_time=5.0)
    session.main.reconnector.session_uuid = None
    session.main.lost("gone", 1)
    connect(session, 7)
    refusal = error("invalidApiKey", taskType="authentication")
    hear(session, 7, errors=[refusal])
    assert session.main.reconnector.state == "failed"
    assert session.next_timer() is None


def test_a_service_that_hangs_up_right_after_the_key_is_not_asked_in_a_tight_loop() -> None:
    session = session_of()
    session.start(0)
    pauses, now = [], 0.0
    for _ in range(12):
        moment = session.next_timer()
        assert moment is not None
        pauses.append(moment - now)
        now = moment
        connect(session, now)
        accept(session, now)
        session.main.lost("gone", now)
    assert pauses[:2] == [0, 0], "the first connection, and the first attempt to reconnect"
    assert pauses[2:] == sorted(pauses[2:])
    assert pauses[-1] > 10


def test_a_connection_that_was_of_use_is_replaced_at_once() -> None:
    session = connected()
    for now in range(1, 10):
        (task,) = submit(session, 1)
        write_all(session, now)
        hear(session, now, result({"taskUUID": task.uuid}))
        session.main.lost("gone", now)
        assert session.next_timer() == now
        connect(session, now)
        accept(session, now)
