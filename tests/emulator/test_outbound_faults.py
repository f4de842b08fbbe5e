"""Test each fault of results and connections: it does what it says, at the moment it says."""

from __future__ import annotations

import random
from typing import Any
from uuid import uuid4

import pytest

from runware_ws.emulator.faults import (
    Anonymous,
    Delay,
    Drop,
    Duplicate,
    Expire,
    Fail,
    Fault,
    Garble,
    Lose,
    Mix,
    Oversize,
    Reorder,
    Silence,
    Stray,
)
from tests.emulator.fault_bench import FaultBench, ask, results

# When


@pytest.mark.parametrize(
    ("when", "lost"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"nth": 3}, [3]),
        ({"nth": 3, "times": 2}, [3, 4]),
        ({"every": 2}, [2, 4, 6]),
        ({"every": 2, "times": 2}, [2, 4]),
        ({"times": 2}, [1, 2]),
        ({"probability": 0}, []),
        ({"probability": 1}, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_fault_strikes_when_it_is_told_to(when: dict[str, Any], lost: list[int]) -> None:
    bench = FaultBench(Lose(**when))
    peer = bench.peer()
    uuids = bench.run(peer, 6)
    assert results(peer) == [uuid for n, uuid in enumerate(uuids, 1) if n not in lost]
    assert bench.injector.struck == ({"lose": len(lost)} if lost else {})


def test_each_fault_draws_random_numbers_of_its_own() -> None:
    def struck(*faults: Fault) -> list[str]:
        bench = FaultBench(*faults, random_for=lambda n: random.Random(f"7/{n}").random)
        peer = bench.peer()
        uuids = bench.run(peer, 60)
        return [str(uuids.index(uuid)) for uuid in results(peer)]

    lossy = Lose(probability=0.3)
    assert struck(lossy) == struck(lossy) == struck(lossy, Duplicate(probability=0))
    assert 25 < len(struck(lossy)) < 60


@pytest.mark.parametrize(
    "match", [{"upscaleFactor": 4}, {"inputs": {"image": "https://other"}}, {"taskType": "UPS*"}]
)
def test_only_tasks_that_match_are_counted(match: dict[str, Any]) -> None:
    bench = FaultBench(Lose(nth=2, match=match))
    peer = bench.peer()
    plain = bench.run(peer, 2, taskType="imageUpscale", model=None, inputImage="https://e.com/x")
    special = bench.run(peer, 2, image="https://other", upscaleFactor=4)
    assert special[0] in results(peer)
    assert special[1] not in results(peer)
    assert not set(plain) & {special[1]}


# What becomes of results


def test_a_result_that_is_lost_counts_as_delivered() -> None:
    bench = FaultBench(Lose(nth=1))
    peer = bench.peer()
    (uuid,) = bench.run(peer)
    assert results(peer) == []
    peer.send(*ask(uuid))
    assert results(peer) == [uuid]
    bench.end(peer)
    assert results(bench.peer(peer.session)) == []


def test_a_result_comes_late_and_others_overtake_it() -> None:
    bench = FaultBench(Delay(nth=1, seconds=5))
    peer = bench.peer()
    late, soon = bench.run(peer, 2)
    bench.pass_time(4.9)
    assert results(peer) == [soon]
    bench.pass_time(0.2)
    assert results(peer) == [soon, late]


def test_a_result_held_back_when_the_connection_ends_is_replayed() -> None:
    bench = FaultBench(Delay(nth=1, seconds=5), Mix(nth=1, size=9))
    peer = bench.peer()
    session = peer.session
    uuids = bench.run(peer, 2)
    bench.end(peer)
    assert sorted(results(bench.peer(session))) == uuids
    bench.pass_time(10)
    assert results(peer) == []


def test_a_result_comes_several_times() -> None:
    bench = FaultBench(Duplicate(nth=1, copies=2))
    peer = bench.peer()
    first, second = bench.run(peer, 2)
    assert results(peer) == [first, first, first, second]


def test_a_copy_may_come_much_later() -> None:
    bench = FaultBench(Duplicate(seconds=60))
    peer = bench.peer()
    (uuid,) = bench.run(peer)
    assert results(peer) == [uuid]
    bench.pass_time(60)
    assert results(peer) == [uuid, uuid]


def test_results_come_in_the_opposite_order() -> None:
    bench = FaultBench(Reorder(size=3))
    peer = bench.peer()
    uuids = bench.run(peer, 4)
    assert results(peer) == uuids[2::-1]
    bench.pass_time(1)
    assert results(peer) == [*uuids[2::-1], uuids[3]]


def test_results_and_errors_come_in_one_frame() -> None:
    bench = FaultBench(Fail(nth=2), Mix(size=3))
    peer = bench.peer()
    uuids = bench.run(peer, 4)
    frame = peer.frames[-1]
    assert [item["taskUUID"] for item in frame["data"]] == [uuids[0], uuids[2]]
    assert [error["taskUUID"] for error in frame["errors"]] == [uuids[1]]
    bench.pass_time(1)
    assert results(peer)[-1] == uuids[3]


def test_a_garbled_frame_is_text_but_no_json_and_counts_as_delivered() -> None:
    bench = FaultBench(Garble(nth=1))
    peer = bench.peer()
    (uuid,) = bench.run(peer)
    garbled = bench.raw[peer.connection][-1]
    assert garbled.decode().startswith('{"data"')
    assert len(peer.frames) == 1
    peer.send(*ask(uuid))
    assert results(peer) == [uuid]


def test_a_garbled_frame_that_comes_back_unsent_is_replayed_as_it_is() -> None:
    rest = (Anonymous(), Mix(size=2), Oversize(frame_bytes=500), Fail(finished=True), Lose(nth=9))
    bench = FaultBench(Drop(nth=1), Garble(nth=1), *rest)
    peer = bench.peer()
    session = peer.session
    bench.run(peer)
    bench.end(peer)
    again = bench.peer(session)
    bench.pass_time(1)
    assert bench.raw[again.connection][-1].startswith(b'{"data"')


def test_a_result_is_padded_to_the_byte() -> None:
    bench = FaultBench(Oversize(nth=2, frame_bytes=123_456))
    peer = bench.peer()
    uuids = bench.run(peer, 2)
    assert len(bench.raw[peer.connection][-1]) == 123_456
    assert results(peer) == uuids


def test_a_frame_that_is_larger_already_is_not_padded() -> None:
    bench = FaultBench(Oversize(frame_bytes=10))
    peer = bench.peer()
    assert bench.run(peer) == results(peer)


# What fails


@pytest.mark.parametrize("code", ["timeout", "serviceUnavailable", "neverHeardOf"])
def test_a_task_fails_and_stays_failed(code: str) -> None:
    bench = FaultBench(Fail(nth=1, code=code, message="So be it.", parameter="ttl"))
    peer = bench.peer()
    (uuid,) = bench.run(peer)
    assert peer.errors[0]["code"] == code
    assert peer.errors[0]["taskUUID"] == uuid
    assert peer.errors[0]["parameter"] == "ttl"
    peer.send(*ask(uuid))
    assert peer.errors[1]["code"] == code


def test_a_wait_may_fail_while_the_task_is_finished() -> None:
    bench = FaultBench(Fail(nth=1, code="timeout", finished=True))
    peer = bench.peer()
    (uuid,) = bench.run(peer)
    assert peer.errors[0]["code"] == "timeout"
    assert peer.errors[0]["taskUUID"] == uuid
    peer.send(*ask(uuid))
    assert results(peer) == [uuid]


@pytest.mark.parametrize("finished", [True, False])
def test_a_task_may_fail_without_its_name(finished: bool) -> None:
    bench = FaultBench(Fail(nth=1, anonymous=True, finished=finished))
    peer = bench.peer()
    bench.run(peer, 2)
    assert "taskUUID" not in peer.errors[0]
    assert len(results(peer)) == 1


@pytest.mark.parametrize("of", ["any", "answer"])
def test_errors_lose_the_names_of_their_tasks(of: str) -> None:
    bench = FaultBench(Anonymous(of=of))
    peer = bench.peer()
    bench.run(peer)
    peer.send({"taskType": "getResponse", "taskUUID": str(uuid4())})
    assert peer.errors[0]["code"] == "taskNotFound"
    assert "taskUUID" not in peer.errors[0]
    assert bench.injector.struck == {"anonymous": 1}


def test_an_error_of_nobody_comes_beside_a_result() -> None:
    bench = FaultBench(Stray(nth=1, code="unknownError"))
    peer = bench.peer()
    uuids = bench.run(peer, 2)
    assert [error["code"] for error in peer.errors] == ["unknownError"]
    assert "taskUUID" not in peer.errors[0]
    assert results(peer) == uuids


# What ends


@pytest.mark.parametrize("how", ["close", "abort", "reset"])
def test_a_drop_before_a_result_leaves_it_to_who_resumes(how: Any) -> None:
    bench = FaultBench(Drop(nth=2, how=how))
    peer = bench.peer()
    session = peer.session
    uuids = bench.run(peer, 3)
    assert results(peer) == uuids[:1]
    assert bench.ended[peer.connection] == how
    bench.end(peer)
    assert results(bench.peer(session)) == uuids[1:]


def test_what_a_drop_has_prevented_is_not_counted_until_it_is_replayed() -> None:
    bench = FaultBench(Drop(every=4))
    peer = bench.peer()
    session = peer.session
    uuids = bench.run(peer, 9)
    come = results(peer)
    while len(come) < len(uuids):
        bench.end(peer)
        peer = bench.peer(session)
        come += results(peer)
    assert come == uuids
    assert bench.injector.struck == {"drop": 2}


def test_a_drop_after_a_result_lets_it_through() -> None:
    bench = FaultBench(Drop(nth=2, moment="after"))
    peer = bench.peer()
    session = peer.session
    uuids = bench.run(peer, 3)
    assert results(peer) == uuids[:2]
    bench.end(peer)
    assert results(bench.peer(session)) == uuids[2:]


def test_a_result_written_to_a_dead_socket_is_not_replayed() -> None:
    bench = FaultBench(Drop(nth=1, written=True))
    peer = bench.peer()
    session = peer.session
    uuids = bench.run(peer, 2)
    bench.end(peer)
    assert results(bench.peer(session)) == uuids[1:]


def test_what_arrives_on_a_connection_that_was_cut_is_not_heard() -> None:
    bench = FaultBench(Drop(nth=1))
    peer = bench.peer()
    bench.run(peer)
    bench.run(peer)
    assert len(bench.core.history.executions) == 1


def test_an_expired_session_cannot_be_resumed_and_what_it_missed_is_found_by_asking() -> None:
    bench = FaultBench(Expire(nth=1), Drop(nth=1))
    peer = bench.peer()
    session = peer.session
    uuids = bench.run(peer, 2)
    bench.end(peer)
    again = bench.peer(session)
    assert again.session != session
    assert results(again) == []
    again.send(*ask(*uuids))
    assert results(again) == uuids


@pytest.mark.parametrize("written", [False, True])
def test_a_silent_connection_says_and_hears_nothing(written: bool) -> None:
    bench = FaultBench(Silence(nth=2, written=written), idle_timeout=50)
    peer = bench.peer()
    session = peer.session
    uuids = bench.run(peer, 3)
    assert peer.send({"taskType": "ping", "ping": True}) == []
    bench.run(peer)
    bench.pass_time(60)
    assert results(peer) == uuids[:1]
    assert bench.ended == {}
    assert len(bench.core.history.executions) == 3
    bench.end(peer)
    assert results(bench.peer(session)) == ([] if written else uuids[1:])
