"""Several connections of one session that share large tasks and large answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runware_ws.protocol.session import Session
from runware_ws.protocol.tasks import Task
from tests.client.test_moments import new_uuid
from tests.protocol.test_channels import (
    accept,
    connects,
    hear,
    mixed,
    started,
    task_of,
    written,
)
from tests.support.answers import error, result

LATER = 5.0  # so long after the last small task that large ones may travel anywhere


def opened_by_frames_of(seconds: float, gap: float = 0.0) -> list[int]:
    """Return the channels that are opened while large frames leave one after another.

    One task is always waiting, except in the gaps after each frame.
    """
    session = started(connections=4, max_in_flight=1_000, adaptive=False)
    ready = [session.main]
    now = 0.0

    def let_pass(until: float) -> None:
        while (due := session.next_timer()) is not None and due <= until:
            for channel in ready:
                channel.traffic(due, 0, 0, due)
            session.handle_timer(due)
            for index in connects(session.take_effects()):
                ready.append(session.channels[index])
                accept(ready[-1], due)

    while now < 1:
        task_of(session, now, bulk=True)
        for channel in ready:
            task_of(session, now, bulk=True)
            assert written(channel, now)
        now += seconds
        let_pass(now)
        if gap:
            for channel in ready:
                while written(channel, now):
                    pass
            now += gap
            let_pass(now)
    return [channel.index for channel in ready[1:]]


@pytest.mark.parametrize("seconds", [0.005, 0.06, 0.3])
def test_large_frames_that_follow_each_other_occupy_a_connection(seconds: float) -> None:
    """However short each of them is: a line may limit each connection."""
    assert opened_by_frames_of(seconds) == [1, 2, 3]


def test_large_frames_with_gaps_between_them_open_no_more_connections() -> None:
    assert not opened_by_frames_of(0.03, gap=0.07)
    assert not opened_by_frames_of(0.03, gap=0.3)


def test_waiting_for_answers_is_a_gap_between_large_frames() -> None:
    """More tasks are waiting then, and another connection could not take them either."""
    session = started(max_in_flight=2, adaptive=False)
    tasks = [task_of(session, 0, bulk=True) for _ in range(8)]
    for begin in (0.0, 1.0, 2.0):
        assert written(session.main, begin)
        session.main.traffic(begin + 0.05, 0, 0, begin + 0.05)
        session.handle_timer(begin + 0.05)
        assert not connects(session.take_effects())
        assert written(session.main, begin + 0.06)
        assert not written(session.main, begin + 0.09)
        for _ in range(2):
            task = tasks.pop(0)
            hear(session.main, begin + 0.9, result({"taskUUID": task.uuid}))
        session.take_effects()


def answers_of(session: Session, number: int) -> None:
    """Submit tasks that are small and have large answers."""
    for _ in range(number):
        task = Task(new_uuid(), b"[{}]")
        task.bulk = True
        session.submit(task, LATER)


def two_for_all(**changed: Any) -> Session:
    """Return a session with two connections that take large tasks."""
    session, _, large = mixed(**changed)
    accept(session.channels[1], 0)
    written(session.main, 0)
    written(session.channels[1], 0)
    hear(session.channels[1], 0, result({"taskUUID": large.uuid}))
    session.take_effects()
    session.handle_timer(LATER)
    return session


def numbers_of(session: Session, now: float) -> list[int]:
    """Return how many tasks each connection sends, in the order in which they are asked."""
    return [
        sum(written(channel, now).count("{}") for _ in range(3)) for channel in session.channels
    ]


def test_tasks_with_large_answers_are_spread_over_the_connections() -> None:
    session = two_for_all(max_in_flight=100, adaptive=False)
    answers_of(session, 12)
    assert numbers_of(session, LATER) == [6, 6]
    answers_of(session, 5)
    assert numbers_of(session, LATER) == [3, 2]


def test_they_are_spread_as_well_when_there_is_room_for_one_after_another() -> None:
    session = two_for_all(max_in_flight=5, adaptive=False)
    answers_of(session, 20)
    assert numbers_of(session, LATER) == [2, 2]
    for _ in range(6):
        task = next(one for one in session.tasks.values() if one.connection is not None)
        hear(session.main, LATER, result({"taskUUID": task.uuid}))
        numbers_of(session, LATER)
    counts = [one.connection.bulk_in_flight for one in session.channels if one.connection]
    assert sorted(counts) == [2, 3]


def test_tasks_with_large_answers_do_not_wait_for_a_connection_that_is_uploading() -> None:
    """It has fewer of them, and cannot take any before the end of its upload."""
    session = started(max_in_flight=100, adaptive=False)
    answers_of(session, 8)
    assert numbers_of(session, LATER) == [8, 0]
    small = task_of(session, LATER)
    session.handle_timer(LATER)
    accept(session.channels[1], LATER)
    assert small.uuid in written(session.main, LATER)
    large = task_of(session, LATER, bulk=True)
    assert large.uuid in written(session.channels[1], LATER, whole=False)
    answers_of(session, 3)
    assert written(session.main, 2 * LATER).count("{}") == 3


def find_nothing(session: Session, now: float) -> None:
    """Answer all questions, on whichever connection they come."""
    for channel in session.channels:
        while not session._table.resends and (frame := written(channel, now)):
            if '"get' in frame:
                hear(channel, now, errors=[error("taskNotFound", json.loads(frame)[0])])


def test_a_large_task_is_sent_again_on_a_connection_that_takes_large_ones() -> None:
    """Or small tasks would wait behind it after the loss of a connection."""
    session, small, large = mixed(doubt_window=0.1)
    written(session.main, 0)
    hear(session.main, 0, result({"taskUUID": small.uuid}))
    accept(session.channels[1], 0)
    assert large.uuid in written(session.channels[1], 0)
    session.channels[1].lost("cut", 0)
    now = 0.0
    while large not in session._table.resends:
        find_nothing(session, now)
        now = max(now, session.next_timer() or 0.0)
        session.handle_timer(now)
        if connects(session.take_effects()):
            accept(session.channels[1], now)
        assert now < 60
    small = task_of(session, now)
    sent = {
        channel: "".join(written(channel, now) for _ in range(3)) for channel in session.channels
    }
    assert small.uuid in sent[session.main]
    assert large.uuid not in sent[session.main]
    assert large.uuid in sent[session.channels[1]]


def test_a_large_frame_goes_wherever_a_connection_is_free() -> None:
    session = two_for_all(max_in_flight=100, adaptive=False)
    answers_of(session, 6)
    numbers_of(session, LATER)
    large = [task_of(session, LATER, bulk=True) for _ in range(3)]
    assert all(one.uuid in written(session.main, LATER) for one in large)


def opened_by_answers(seconds: float, bytes_each: int, gap: float = 0.0) -> list[int]:
    """Return the channels that are opened while large answers come, for less than a second."""
    session = started(connections=3, max_in_flight=100, adaptive=False)
    answers_of(session, 10)
    numbers_of(session, 0)
    opened: list[int] = []
    now, total = 0.0, 0
    while now < 0.8:
        session.main.arriving(total, now, is_partial=True)
        now, total = now + seconds, total + bytes_each
        session.main.arriving(total, now, is_partial=False)
        now += gap
        while (due := session.next_timer()) is not None and due <= now:
            session.main.traffic(due, 0, total, due)
            session.handle_timer(due)
            opened += connects(session.take_effects())
    return opened


def test_large_answers_that_follow_each_other_occupy_a_connection() -> None:
    assert opened_by_answers(0.01, 200_000) == [1]
    assert opened_by_answers(0.3, 6_000_000) == [1]
    assert opened_by_answers(0.1, 300_000, gap=0.05) == [1]  # of a line that works in steps


def test_large_answers_with_gaps_or_at_full_speed_open_no_more_connections() -> None:
    assert not opened_by_answers(0.01, 200_000, gap=0.03)
    assert not opened_by_answers(0.05, 200_000, gap=0.3)
    assert not opened_by_answers(0.01, 4_000_000)
