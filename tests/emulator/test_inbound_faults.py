"""Test each fault of what arrives: tasks, keys, connections and HTTP requests."""

from __future__ import annotations

from typing import Any

import pytest

from runware_ws.emulator.faults import Delay, Drop, Fail, Garble, Lose, Refuse, Silence, Status
from tests.emulator.bench import new_uuid, upscale
from tests.emulator.fault_bench import FaultBench, ask, results

PING = {"taskType": "ping", "ping": True}


def test_connections_are_refused_before_the_others_are_counted() -> None:
    bench = FaultBench(Refuse(nth=2, times=2, status=502), Drop(of="connection", nth=2))
    assert [bench.injector.connection_status() for _ in range(4)] == [None, 502, 502, None]
    assert bench.peer().connection not in bench.ended
    assert bench.peer().connection in bench.ended


def test_a_right_key_is_refused_as_documented() -> None:
    bench = FaultBench(Refuse(of="authentication", nth=1))
    peer = bench.peer()
    (error,) = peer.errors
    assert error["code"] == "invalidApiKey"
    assert error["parameter"] == "apiKey"
    assert error["taskType"] == "authentication"
    assert "taskUUID" not in error
    peer.authenticate()
    assert peer.session


def test_a_request_that_never_arrives_is_unknown_and_its_neighbours_are_not() -> None:
    bench = FaultBench(Lose(of="request", nth=2))
    peer = bench.peer()
    uuids = bench.run(peer, 3)
    assert results(peer) == [uuids[0], uuids[2]]
    peer.send(*ask(uuids[1]))
    assert peer.errors[0]["code"] == "taskNotFound"


def test_a_question_may_be_lost_and_a_request_not_be_counted_for_it() -> None:
    bench = FaultBench(Lose(of="question", nth=1))
    peer = bench.peer()
    bench.run(peer)
    assert peer.send(PING) == []
    assert len(peer.send(PING)) == 1


def test_an_answer_may_be_lost_or_garbled() -> None:
    bench = FaultBench(
        Lose(of="answer", match={"taskType": "ping"}, nth=1), Garble(of="answer", nth=2)
    )
    peer = bench.peer()
    assert [peer.send(PING) for _ in range(3)] == [[], [], [{"data": [PING_ANSWER]}]]


PING_ANSWER = {"taskType": "ping", "pong": True}


def test_a_request_arrives_late() -> None:
    bench = FaultBench(Delay(of="request", nth=1, seconds=5))
    peer = bench.peer()
    bench.run(peer)
    assert bench.core.history.executions == {}
    bench.pass_time(5)
    bench.finish()
    assert len(results(peer)) == 1


def test_a_late_request_does_not_arrive_when_its_connection_is_gone() -> None:
    bench = FaultBench(Delay(of="request", seconds=5))
    peer = bench.peer()
    bench.run(peer)
    bench.end(peer)
    bench.pass_time(5)
    assert bench.core.history.executions == {}


@pytest.mark.parametrize(("moment", "arrived"), [("before", 1), ("after", 3)])
def test_a_connection_ends_around_a_request(moment: Any, arrived: int) -> None:
    bench = FaultBench(Drop(of="request", nth=2, moment=moment, how="reset"))
    peer = bench.peer()
    bench.run(peer, 3)
    assert len(bench.core.history.executions) == arrived
    assert bench.ended == {peer.connection: "reset"}


def test_silence_may_begin_before_the_reply_to_the_key() -> None:
    bench = FaultBench(Silence(of="authentication", nth=1))
    peer = bench.peer()
    assert peer.frames == []
    assert bench.peer().frames != []


def test_silence_may_begin_with_the_connection() -> None:
    bench = FaultBench(Silence(of="connection", nth=1))
    assert bench.peer().frames == []


@pytest.mark.parametrize("anonymous", [True, False])
def test_a_request_is_refused_and_unknown_afterwards(anonymous: bool) -> None:
    bench = FaultBench(Fail(of="request", nth=1, code="rateLimitExceeded", anonymous=anonymous))
    peer = bench.peer()
    task = upscale()
    peer.send(task)
    assert peer.errors[0]["code"] == "rateLimitExceeded"
    assert ("taskUUID" in peer.errors[0]) is not anonymous
    peer.send(task)
    bench.finish()
    assert results(peer) == [task["taskUUID"]]


def test_a_frame_that_is_no_request_goes_to_the_service_as_it_is() -> None:
    bench = FaultBench(Lose(of="request"))
    peer = bench.peer()
    assert peer.send_raw(b"nonsense")[0]["errors"][0]["code"] == "invalidRequest"
    assert peer.send() == []


@pytest.mark.parametrize("task_type", [[], {}, 1, None])
def test_a_task_type_that_is_no_text_goes_to_the_service_as_it_is(task_type: Any) -> None:
    bench = FaultBench(Lose(of="request"), Status(nth=9))
    peer = bench.peer()
    peer.send({"taskType": task_type})
    assert peer.errors[0]["code"] == "invalidTaskType"
    assert bench.answer({"taskType": task_type})[0] == 400


# REST


@pytest.mark.parametrize("status", [400, 401, 402, 403, 429, 500, 503, 504])
def test_a_call_gets_each_status_with_the_documented_body_and_runs_nothing(status: int) -> None:
    bench = FaultBench(Status(status=status, nth=1))
    given, body = bench.answer(upscale())
    assert given == status
    assert set(body) == {"errors"}
    assert body["errors"][0].keys() >= {"code", "message"}
    assert bench.core.history.executions == {}
    assert bench.answer(upscale())[0] == 200


def test_a_call_is_refused_with_the_code_that_is_asked_for() -> None:
    bench = FaultBench(Status(status=429, code="inferenceRateLimitRequestTooLarge"))
    assert bench.answer(upscale())[1]["errors"][0]["code"] == "inferenceRateLimitRequestTooLarge"


def test_a_call_fails_for_a_task_that_is_refused() -> None:
    bench = FaultBench(Fail(of="request", nth=2, code="insufficientCredits"))
    status, body = bench.answer(upscale(), upscale())
    assert status == 402
    assert body["errors"][0]["taskUUID"]
    assert bench.core.history.executions == {}


def test_a_call_that_is_no_list_of_tasks_is_counted_all_the_same() -> None:
    bench = FaultBench(Status(status=500, nth=2))
    bench.post_raw(b"nonsense")
    assert bench.responses[bench.post_raw(b"nonsense")][0] == 500


def test_a_call_for_the_answer_of_another_is_a_question() -> None:
    bench = FaultBench(Fail(of="request"))
    assert bench.answer(*ask(new_uuid()))[0] == 400
    assert bench.injector.struck == {}
