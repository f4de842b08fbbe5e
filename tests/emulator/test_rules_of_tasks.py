"""Test the rules of conflicts, and of what getResponse and getTaskDetails know of a task."""

from __future__ import annotations

from typing import Any

import pytest

from runware_ws.emulator.service.jobs import Succeeded
from tests.emulator.bench import Bench, Peer, new_uuid, upscale

HOOK = "http://localhost:1/hook"
Item = dict[str, Any]


def asked(peer: Peer, task: Item, kind: str = "getResponse") -> Item:
    """The frame that answers a question about a task."""
    (frame,) = peer.send({"taskType": kind, "taskUUID": task["taskUUID"]})
    return frame


def recorded(peer: Peer, task: Item) -> Any:
    """The response in the details of a task."""
    (item,) = asked(peer, task, "getTaskDetails")["data"]
    assert item["request"] == [task]
    return item["response"]


def codes(frame: Item) -> list[str]:
    return [error["code"] for error in frame.get("errors", [])]


# Conflicts


@pytest.mark.parametrize(
    ("rule", "while_running", "afterwards"),
    [("always", 1, 1), ("running", 1, 2), ("never", 2, 2)],
)
def test_a_second_sending_is_run_if_the_rule_lets_it(
    rule: str, while_running: int, afterwards: int
) -> None:
    for finished, runs in ((False, while_running), (True, afterwards)):
        bench = Bench(conflicts=rule)
        peer = bench.peer()
        task = upscale()
        peer.send(task)
        if finished:
            bench.finish()
        peer.send(task)
        assert codes({"errors": peer.errors}) == ["conflictTaskUUID"] * (2 - runs)
        bench.finish()
        assert bench.service.history.executions == {task["taskUUID"]: runs}
        assert len({item["imageUUID"] for item in peer.items[1:]}) == runs


def test_a_task_conflicts_with_any_run_of_its_uuid_that_goes_on() -> None:
    bench = Bench(conflicts="running", conflict_delay=1)
    peer = bench.peer()
    task = upscale()
    peer.send(task, task)
    second = bench.jobs.pop()
    bench.service.finished(second, Succeeded(), bench.now)
    bench.perform()
    bench.pass_time(1)
    peer.send(task)
    assert codes(peer.frames[-1]) == ["conflictTaskUUID"]


@pytest.mark.parametrize(("later", "runs"), [(0, 2), (0.9, 2), (1, 1)])
def test_the_check_for_conflicts_may_be_late(later: float, runs: int) -> None:
    bench = Bench(conflict_delay=1)
    peer = bench.peer()
    task = upscale(deliveryMethod="async")
    peer.send(task)
    bench.pass_time(later)
    peer.send(task)
    assert bench.service.history.executions[task["taskUUID"]] == runs


def test_a_uuid_that_ran_twice_is_known_until_both_runs_are_forgotten() -> None:
    bench = Bench(conflicts="never", task_memory=100)
    peer = bench.peer()
    task = upscale()
    peer.send(task)
    bench.finish()
    bench.pass_time(50)
    peer.send(task)
    bench.finish()
    bench.pass_time(60)
    assert asked(peer, task)["data"]
    bench.pass_time(50)
    assert codes(asked(peer, task)) == ["taskNotFound"]


@pytest.mark.parametrize(
    ("conflicts", "errors", "is_named"),
    [(True, True, True), (False, True, False), (True, False, False)],
)
def test_a_conflict_names_its_task_or_not(conflicts: bool, errors: bool, is_named: bool) -> None:
    bench = Bench(conflict_names_task=conflicts, errors_name_task=errors)
    peer = bench.peer()
    task, bad = upscale(), upscale(upscaleFactor=3)
    peer.send(task)
    (frame,) = peer.send(task)
    assert ("taskUUID" in frame["errors"][0]) is is_named
    (frame,) = peer.send(bad)
    assert ("taskUUID" in frame["errors"][0]) is errors


# getResponse


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(
    ("members", "is_known"),
    [({}, False), ({"deliveryMethod": "async"}, True), ({"webhookURL": HOOK}, True)],
)
def test_get_response_may_know_only_what_was_acknowledged(
    members: Item, is_known: bool, finished: bool
) -> None:
    bench = Bench(known_tasks="async")
    peer = bench.peer()
    task = upscale(**members)
    peer.send(task)
    if finished:
        bench.finish()
    assert ("data" in asked(peer, task)) is is_known
    assert recorded(peer, task)


@pytest.mark.parametrize("unknown", ["error", "empty"])
@pytest.mark.parametrize("running", ["processing", "empty", "error"])
def test_get_response_says_of_a_running_task_what_the_rule_says(running: str, unknown: str) -> None:
    bench = Bench(running_task=running, unknown_task=unknown)
    peer = bench.peer()
    task = upscale(deliveryMethod="async")
    peer.send(task)
    frame = asked(peer, task)
    assert codes(frame) == (["taskNotFound"] if running == "error" else [])
    assert len(frame.get("data", [])) == (running == "processing")
    bench.finish()
    assert asked(peer, task)["data"][0]["status"] == "success"
    assert codes(asked(peer, upscale())) == (["taskNotFound"] if unknown == "error" else [])


@pytest.mark.parametrize("kind", ["getResponse", "getTaskDetails"])
def test_a_task_may_become_visible_late(kind: str) -> None:
    bench = Bench(visible_after=2)
    peer = bench.peer()
    task = upscale(deliveryMethod="async")
    peer.send(task)
    bench.finish()
    bench.pass_time(1.9)
    assert codes(asked(peer, task, kind)) == ["taskNotFound"]
    bench.pass_time(0.1)
    assert asked(peer, task, kind)["data"]


# getTaskDetails


def test_details_may_hold_the_refusal_of_a_second_sending() -> None:
    bench = Bench(details="last_response")
    peer = bench.peer()
    task = upscale(deliveryMethod="async")
    (acknowledgment,) = peer.send(task)
    assert recorded(peer, task) == acknowledgment
    peer.send(task)
    assert codes(recorded(peer, task)) == ["conflictTaskUUID"]
    bench.finish()
    assert recorded(peer, task)["data"][0]["imageURL"]
    peer.send(task)
    assert codes(recorded(peer, task)) == ["conflictTaskUUID"]
    assert asked(peer, task)["data"][0]["imageURL"]


def test_details_may_hold_the_refusal_of_a_second_sending_for_lack_of_credit() -> None:
    bench = Bench(details="last_response", conflicts="never", credit=0.002)
    peer = bench.peer()
    task = upscale()
    peer.send(task, task)
    assert codes(recorded(peer, task)) == ["insufficientCredits"]


def test_details_may_hold_the_end_of_a_wait_until_the_task_is_finished() -> None:
    bench = Bench(details="last_response")
    peer = bench.peer()
    task = upscale()
    peer.send(task)
    assert recorded(peer, task) is None
    for _ in range(2):
        bench.pass_time(60)
        peer.send({"taskType": "ping"})
    assert codes(recorded(peer, task)) == ["timeout"]
    bench.finish()
    assert recorded(peer, task)["data"][0]["imageURL"]


@pytest.mark.parametrize("finished", [False, True])
def test_details_may_hold_the_request_alone(finished: bool) -> None:
    bench = Bench(details="null")
    peer = bench.peer()
    task = upscale()
    peer.send(task)
    if finished:
        bench.finish()
    assert recorded(peer, task) is None


def test_details_may_know_no_task() -> None:
    bench = Bench(details="nothing")
    peer = bench.peer()
    task = upscale()
    peer.send(task)
    bench.finish()
    assert codes(asked(peer, task, "getTaskDetails")) == ["taskNotFound"]


def test_over_rest_a_task_that_runs_twice_has_two_answers() -> None:
    bench = Bench(conflicts="never")
    task = upscale()
    status, body = bench.answer(task, task)
    assert status == 200
    assert len({item["imageUUID"] for item in body["data"]}) == 2


def test_an_unknown_task_is_unknown_under_all_rules() -> None:
    for details in ("answer", "last_response", "null", "nothing"):
        peer = Bench(details=details).peer()
        frame = asked(peer, {"taskUUID": new_uuid()}, "getTaskDetails")
        assert codes(frame) == ["taskNotFound"]
