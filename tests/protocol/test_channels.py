"""Several connections of one session: who travels where, and what the loss of one means."""

from __future__ import annotations

import gc
import json
import weakref
from itertools import pairwise
from typing import Any

import pytest

from runware_ws.protocol.channel import Channel
from runware_ws.protocol.effects import Connect, Disconnect, Effect, Settle
from runware_ws.protocol.session import Session
from runware_ws.protocol.tasks import Task
from tests.client.test_moments import new_uuid, session_of
from tests.support.answers import error, result

LARGE = 100_000


def task_of(session: Session, now: float, *, bulk: bool = False) -> Task:
    uuid = new_uuid()
    members = [{"taskType": "upscale", "taskUUID": uuid, "x": "y" * (LARGE if bulk else 0)}]
    task = Task(uuid, json.dumps(members, separators=(",", ":")).encode())
    task.bulk = bulk
    session.submit(task, now)
    return task


def accept(channel: Channel, now: float) -> None:
    channel.connected(now)
    assert "authentication" in written(channel, now)
    hear(channel, now, {"taskType": "authentication", "connectionSessionUUID": f"S{channel.index}"})


def hear(channel: Channel, now: float, *data: Any, errors: Any = ()) -> None:
    channel.receive(json.dumps({"data": data, "errors": list(errors)}).encode(), now)


def written(channel: Channel, now: float, *, whole: bool = True) -> str:
    """Return the next frame; "" if there is none."""
    frame = channel.next_frame(now)
    if frame is None:
        return ""
    if whole:
        channel.written(frame, now)
    return bytes(frame.data).decode()


def started(**changed: Any) -> Session:
    """Return a session whose main channel is ready, at the time 0."""
    session = session_of(**{"connections": 2, **changed})
    session.start(0)
    session.handle_timer(0)
    accept(session.main, 0)
    session.take_effects()
    return session


def connects(effects: list[Effect]) -> list[int]:
    return [effect.channel for effect in effects if isinstance(effect, Connect)]


def settled(session: Session) -> list[Task]:
    return [effect.task for effect in session.take_effects() if isinstance(effect, Settle)]


def test_small_tasks_alone_or_one_large_alone_open_no_second_connection() -> None:
    for bulk in (False, True):
        session = started()
        tasks = [task_of(session, 0, bulk=bulk) for _ in range(1 if bulk else 50)]
        session.handle_timer(0)
        assert not connects(session.take_effects())
        assert all(task.uuid in written(session.main, 0) for task in tasks[:1])


def mixed(**changed: Any) -> tuple[Session, Task, Task]:
    """Return a session with a small and a large task, whose second connection is being made."""
    session = started(**changed)
    small, large = task_of(session, 0), task_of(session, 0, bulk=True)
    session.handle_timer(0)
    assert connects(session.take_effects()) == [1]
    return session, small, large


def test_a_large_task_beside_small_ones_waits_for_a_connection_of_its_own() -> None:
    session, small, large = mixed()
    assert small.uuid in written(session.main, 0)
    assert not written(session.main, 0)
    accept(session.channels[1], 0.1)
    assert not written(session.main, 0.1)
    assert large.uuid in written(session.channels[1], 0.1)
    other = task_of(session, 0.2)
    assert not written(session.channels[1], 0.2)
    assert other.uuid in written(session.main, 0.2)


def test_a_large_task_waits_no_longer_than_a_second_or_until_the_attempt_has_failed() -> None:
    session, _, large = mixed()
    written(session.main, 0)
    session.handle_timer(1.0)
    assert large.uuid in written(session.main, 1.0)

    session, _, large = mixed()
    written(session.main, 0)
    session.channels[1].lost("refused", 0.1)
    assert large.uuid in written(session.main, 0.1)
    session.take_effects()
    session.handle_timer(0.1)
    assert not connects(session.take_effects()), "it is tried again later"


def test_a_key_that_another_connection_is_refused_with_harms_nobody() -> None:
    session, _, large = mixed()
    channel = session.channels[1]
    channel.connected(0)
    written(channel, 0)
    hear(channel, 0, errors=[error("forbidden", taskType="authentication")])
    assert Disconnect(1) in session.take_effects()
    assert session.state == "connected"
    assert session.failure is None
    written(session.main, 0)
    assert large.uuid in written(session.main, 0)


def test_tasks_of_a_lost_connection_are_asked_for_on_another_at_once() -> None:
    session, small, large = mixed()
    written(session.main, 0)
    accept(session.channels[1], 0)
    written(session.channels[1], 0)
    session.channels[1].lost("gone", 1)
    assert session.state == "connected"
    question = json.loads(written(session.main, 1))
    assert question == [{"taskType": "getResponse", "taskUUID": large.uuid}]
    hear(session.main, 1, result({"taskUUID": large.uuid}))
    assert settled(session) == [large]
    hear(session.main, 1, result({"taskUUID": small.uuid}))
    assert settled(session) == [small]


def test_a_large_task_of_a_lost_connection_is_asked_for_where_its_answer_delays_nobody() -> None:
    session = started(connections=3)
    small, large = task_of(session, 0), task_of(session, 0, bulk=True)
    for channel in session.channels[1:]:
        accept(channel, 0)
    assert small.uuid in written(session.main, 0)
    assert large.uuid in written(session.channels[1], 0)
    session.channels[1].lost("gone", 1)
    assert not written(session.main, 1)
    assert "getResponse" in written(session.channels[2], 1)


def test_without_the_main_connection_all_travels_on_the_other() -> None:
    session, small, _ = mixed()
    written(session.main, 0)
    accept(session.channels[1], 0)
    session.take_effects()
    session.main.lost("gone", 1)
    assert session.state == "connected"
    assert small.uuid in written(session.channels[1], 1), "the question"
    other = task_of(session, 1)
    frames = [written(session.channels[1], 1) for _ in range(3)]
    assert any(other.uuid in frame for frame in frames)


def test_a_late_answer_settles_its_task_whichever_connection_brings_it() -> None:
    session, small, large = mixed()
    written(session.main, 0)
    accept(session.channels[1], 0)
    written(session.channels[1], 0)
    hear(session.channels[1], 1, result({"taskUUID": small.uuid}))
    hear(session.main, 1, result({"taskUUID": large.uuid}))
    assert settled(session) == [small, large]
    assert not session.tasks


def test_one_more_connection_is_opened_once_all_are_occupied_by_large_tasks() -> None:
    session = started(connections=4)
    tasks = [task_of(session, 0, bulk=True) for _ in range(5)]
    assert written(session.main, 0, whole=False)
    opened: list[int] = []
    now = 0.0
    while now < 1 and len(opened) < 3:
        now = max(now, session.next_timer() or 0)
        session.handle_timer(now)
        for channel in connects(session.take_effects()):
            opened.append(channel)
            accept(session.channels[channel], now)
            assert written(session.channels[channel], now, whole=False)
    assert opened == [1, 2, 3]
    assert sum(task.writes for task in tasks) == 4


def test_while_another_connection_is_refused_no_more_are_opened() -> None:
    """The account may have a limit of connections."""
    session = started(connections=4, max_in_flight=100, adaptive=False)
    for _ in range(20):
        task_of(session, 0, bulk=True)
    assert written(session.main, 0, whole=False)
    tried = []
    for now in range(1, 60):
        session.main.traffic(now, 0, 0, now)
        session.handle_timer(now)
        session.handle_timer(now)  # which performs what it has begun
        for index in connects(session.take_effects()):
            tried.append(index)
            session.channels[index].lost("refused", now)
    assert len(tried) > 1
    assert set(tried) == {1}


def test_the_end_of_the_client_ends_all_connections() -> None:
    session, small, large = mixed()
    accept(session.channels[1], 0)
    session.take_effects()
    session.close("closed")
    effects = session.take_effects()
    assert [effect.task for effect in effects if isinstance(effect, Settle)] == [small, large]
    assert [one for one in effects if isinstance(one, Disconnect)] == [Disconnect(0), Disconnect(1)]
    assert session.next_timer() is None


@pytest.mark.parametrize("limit", [1, 2, 3, 8])
def test_large_tasks_have_a_turn_among_small_ones(limit: int) -> None:
    """A writer may ask for a frame at any time, also when there is no room for a task."""
    session = started(connections=1, max_in_flight=limit, adaptive=False)
    large = [task_of(session, 0, bulk=True).uuid for _ in range(3)]
    for _ in range(60):
        task_of(session, 0)
    sent: list[str] = []
    answered = 0
    while answered < 60:
        while text := written(session.main, 0):
            sent += [task["taskUUID"] for task in json.loads(text)]
        hear(session.main, 0, result({"taskUUID": sent[answered]}))
        answered += 1
    turns = [sent.index(uuid) for uuid in large]
    assert turns[0] <= 3 * limit
    assert all(later - earlier <= 4 * limit for earlier, later in pairwise(turns))


def test_a_settled_task_is_let_go_also_if_its_frame_was_the_largest() -> None:
    session = started(connections=1)
    tasks = [task_of(session, 0) for _ in range(5)]
    sent = json.loads(written(session.main, 0))
    later = task_of(session, 0)  # in a smaller frame
    assert later.uuid in written(session.main, 0)
    hear(session.main, 0, *[result({"taskUUID": task["taskUUID"]}) for task in sent])
    assert settled(session) == tasks
    left = [weakref.ref(task) for task in tasks]
    tasks.clear()
    gc.collect()
    assert [one() for one in left] == [None] * 5
