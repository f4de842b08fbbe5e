"""Test sessions, which outlive their connections, and the results that they missed."""

from __future__ import annotations

from typing import Any

import pytest

from runware_ws.emulator.service.jobs import Succeeded
from tests.emulator.bench import Bench, Peer, new_uuid, upscale


def dropped_with_results(bench: Bench, count: int = 2) -> tuple[str, list[str]]:
    """A session whose results became ready while it had no connection, and their tasks."""
    peer = bench.peer()
    tasks = [upscale() for _ in range(count)]
    peer.send(*tasks)
    session = peer.session
    peer.drop()
    bench.finish()
    assert len(peer.frames) == 1
    return session, [task["taskUUID"] for task in tasks]


def uuids(peer: Peer) -> list[str]:
    return [item.get("taskUUID", item["taskType"]) for item in peer.items]


@pytest.mark.parametrize("away", [0, 60, 119.9])
def test_missed_results_are_delivered_to_who_resumes(away: float) -> None:
    bench = Bench()
    session, tasks = dropped_with_results(bench)
    bench.pass_time(away)
    peer = bench.peer(session)
    assert peer.session == session
    assert uuids(peer) == ["authentication", *tasks]


def test_replay_may_come_before_the_reply() -> None:
    bench = Bench(replay="before")
    session, tasks = dropped_with_results(bench)
    assert uuids(bench.peer(session)) == [*tasks, "authentication"]


def test_there_may_be_no_replay() -> None:
    bench = Bench(replay="none")
    session, _ = dropped_with_results(bench)
    peer = bench.peer(session)
    assert peer.session == session
    assert uuids(peer) == ["authentication"]


def test_the_session_is_found_in_either_case() -> None:
    bench = Bench()
    session, tasks = dropped_with_results(bench)
    peer = bench.peer(session.upper())
    assert uuids(peer)[1:] == tasks
    assert peer.session == session


def test_missed_results_are_delivered_once() -> None:
    bench = Bench()
    session, _ = dropped_with_results(bench)
    bench.peer(session).drop()
    again = bench.peer(session)
    assert uuids(again) == ["authentication"]


def test_a_result_that_could_not_be_written_counts_as_missed() -> None:
    bench = Bench()
    peer = bench.peer()
    session = peer.session
    peer.send(upscale())
    bench.service.finished(bench.jobs.pop(), Succeeded(), bench.now)
    pushes: list[Any] = bench.service.take_effects()
    bench.service.disconnect(peer.connection, bench.now, pushes)
    assert len(bench.peer(session).items) == 2


def test_what_is_no_result_is_not_replayed() -> None:
    bench = Bench()
    peer = bench.peer()
    session = peer.session
    bench.service.receive(peer.connection, b'[{"taskType":"ping"}]', bench.now)
    pushes: list[Any] = bench.service.take_effects()
    bench.service.disconnect(peer.connection, bench.now, pushes)
    assert len(bench.peer(session).items) == 1


def test_a_result_that_comes_back_unwritten_goes_to_who_has_resumed_meanwhile() -> None:
    bench = Bench()
    old = bench.peer()
    old.send(upscale())
    bench.service.finished(bench.jobs.pop(), Succeeded(), bench.now)
    pushes: list[Any] = bench.service.take_effects()
    new = bench.peer(old.session)
    assert len(new.items) == 1
    bench.service.disconnect(old.connection, bench.now, pushes)
    bench.perform()
    assert len(new.items) == 2


def test_a_result_made_after_the_resume_is_pushed_on_the_new_connection() -> None:
    bench = Bench()
    peer = bench.peer()
    task = upscale()
    peer.send(task)
    peer.drop()
    bench.pass_time(100)
    new = bench.peer(peer.session)
    bench.pass_time(19)
    bench.finish()
    assert uuids(new) == ["authentication", task["taskUUID"]]


def test_a_session_expires_120_seconds_after_the_drop() -> None:
    bench = Bench()
    session, _ = dropped_with_results(bench)
    bench.pass_time(120)
    peer = bench.peer(session)
    assert peer.session != session
    assert uuids(peer) == ["authentication"]


def test_a_result_made_after_the_expiry_is_still_found_by_asking() -> None:
    bench = Bench()
    peer = bench.peer()
    task = upscale()
    peer.send(task)
    peer.drop()
    bench.pass_time(300)
    bench.finish()
    asking = bench.peer(peer.session)
    asking.send({"taskType": "getResponse", "taskUUID": task["taskUUID"]})
    assert asking.items[-1]["status"] == "success"


def test_a_resumed_session_counts_its_time_anew() -> None:
    bench = Bench()
    session, _ = dropped_with_results(bench)
    for _ in range(3):
        bench.pass_time(119)
        peer = bench.peer(session)
        assert peer.session == session
        peer.drop()


def test_an_unknown_session_gives_a_new_one() -> None:
    bench = Bench()
    unknown = new_uuid()
    assert bench.peer(unknown).session != unknown


def test_an_unknown_session_may_be_an_error_and_a_second_try_without_it_succeeds() -> None:
    bench = Bench(unknown_session="error")
    peer = bench.peer(new_uuid())
    assert [error["code"] for error in peer.errors] == ["invalidConnectionSessionUUID"]
    assert peer.errors[0]["taskType"] == "authentication"
    peer.authenticate()
    assert peer.session


def test_a_session_moves_to_the_connection_that_asks_for_it() -> None:
    bench = Bench()
    old = bench.peer()
    old.send(upscale())
    new = bench.peer(old.session)
    assert old.closed is not None
    bench.finish()
    assert len(new.items) == 2
    assert len(old.items) == 1
    old.drop()
    bench.pass_time(60)
    assert bench.peer(new.session).session == new.session


def test_a_connection_may_change_to_another_session() -> None:
    bench = Bench()
    session, tasks = dropped_with_results(bench)
    peer = bench.peer()
    own = peer.session
    peer.authenticate(session=session)
    assert peer.session == session
    assert uuids(peer)[2:] == tasks
    assert bench.peer(own).session == own


def test_an_expired_session_with_a_connection_still_gets_its_results() -> None:
    bench = Bench()
    peer = bench.peer()
    session = peer.session
    peer.send(upscale())
    bench.service.expire_session(session)
    bench.finish()
    assert len(peer.items) == 2
    peer.drop()
    assert bench.peer(session).session != session


def test_the_missed_results_of_a_session_are_bounded() -> None:
    bench = Bench(max_result_bytes=1000)
    session, _ = dropped_with_results(bench, 10)
    assert 0 < len(bench.peer(session).items) - 1 < 10
    assert len(bench.service.sessions) == 1


def test_each_connection_has_a_session_of_its_own() -> None:
    bench = Bench()
    one, other = bench.peer(), bench.peer()
    one.send(upscale())
    bench.finish()
    assert len(other.items) == 1


def test_the_repr_of_a_connection_and_its_session_show_their_state() -> None:
    bench = Bench()
    session, _ = dropped_with_results(bench, 3)
    found = bench.service.sessions.find(session)
    assert repr(found) == f"<ServiceSession {session}, 3 missed, on None>"
    connection = bench.peer(session).connection
    assert repr(connection) == f"<ServiceConnection {connection.number} open, session {session}>"
