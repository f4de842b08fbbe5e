"""Test the promises about tasks: the scope of errors, run once, limits, the history."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runware_ws.emulator.service.settings import ServiceSettings
from tests.emulator.bench import KEY, LINK, Bench, new_uuid, picture, text_of, upscale

# Scope


def test_an_error_leaves_the_other_tasks_of_its_frame_alone() -> None:
    bench = Bench()
    peer = bench.peer()
    good = [upscale(), upscale()]
    bad = upscale(upscaleFactor=3)
    peer.send(good[0], bad, good[1])
    bench.finish()
    assert [item["taskUUID"] for item in peer.items[1:]] == [one["taskUUID"] for one in good]
    assert [error["taskUUID"] for error in peer.errors] == [bad["taskUUID"]]


def test_errors_without_the_name_of_their_task_are_a_setting() -> None:
    bench = Bench(errors_name_task=False)
    peer = bench.peer()
    peer.send(upscale(upscaleFactor=3))
    peer.send(upscale())
    bench.fail()
    assert [error.get("taskUUID") for error in peer.errors] == [None, None]
    assert [error["taskType"] for error in peer.errors] == ["upscale", "upscale"]


def test_an_empty_frame_is_answered_with_nothing() -> None:
    assert Bench().peer().send() == []


@pytest.mark.parametrize("as_text", [True, False])
def test_text_and_binary_frames_are_both_read(as_text: bool) -> None:
    text = json.dumps([{"taskType": "ping", "ping": True}])
    assert Bench().peer().send_raw(text if as_text else text.encode())


# Once


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("change", [str, str.upper])
def test_a_task_sent_again_conflicts_and_is_not_run_again(finished: bool, change: Any) -> None:
    bench = Bench()
    peer = bench.peer()
    task = upscale()
    peer.send(task)
    if finished:
        bench.finish()
    again = change(task["taskUUID"])
    peer.send(task | {"taskUUID": again})
    (error,) = peer.errors
    assert (error["code"], error["parameter"]) == ("conflictTaskUUID", "taskUUID")
    assert error["taskUUID"] == again
    bench.finish()
    assert bench.service.history.executions == {task["taskUUID"]: 1}
    assert len(peer.items) == 2


def test_a_task_twice_in_one_frame_is_run_once() -> None:
    bench = Bench()
    task = upscale()
    peer = bench.peer()
    peer.send(task, task)
    assert len(bench.jobs) == 1
    assert [error["code"] for error in peer.errors] == ["conflictTaskUUID"]


def test_a_task_conflicts_on_any_connection() -> None:
    bench = Bench()
    task = upscale()
    bench.peer().send(task)
    other = bench.peer()
    other.send(task)
    assert [error["code"] for error in other.errors] == ["conflictTaskUUID"]


def test_a_refused_task_leaves_its_uuid_free() -> None:
    bench = Bench()
    peer = bench.peer()
    task = upscale(outputQuality=1)
    peer.send(task)
    peer.send(task | {"outputQuality": 20})
    assert len(bench.jobs) == 1


def test_a_uuid_is_forgotten_only_when_its_memory_is_over() -> None:
    bench = Bench(task_memory=500)
    task = upscale()
    bench.peer().send(task)
    bench.pass_time(1000)
    bench.finish()
    bench.pass_time(499)
    bench.peer().send(task)
    assert bench.jobs == []
    bench.pass_time(1)
    bench.peer().send(task)
    assert len(bench.jobs) == 1


def test_the_oldest_finished_tasks_make_room() -> None:
    bench = Bench(max_tasks=2)
    peer = bench.peer()
    tasks = [upscale() for _ in range(3)]
    for task in tasks:
        peer.send(task)
        bench.finish()
    peer.send(*tasks)
    assert [job.task_uuid for job in bench.jobs] == [tasks[0]["taskUUID"]]


# Limits


def test_an_empty_account_runs_nothing_more() -> None:
    bench = Bench(credit=0.003, cost=0.0013)
    peer = bench.peer()
    peer.send(upscale(), upscale(), upscale())
    assert [error["code"] for error in peer.errors] == ["insufficientCredits"]
    assert bench.service.history.billed == pytest.approx(0.0026)


def test_a_full_queue_refuses_until_there_is_room() -> None:
    bench = Bench(max_running=1)
    peer = bench.peer()
    task = upscale()
    peer.send(upscale(), task)
    assert [error["code"] for error in peer.errors] == ["rateLimitExceeded"]
    bench.finish()
    peer.send(task)
    assert len(bench.jobs) == 1


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_a_setting_that_makes_no_sense_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match="idle_timeout must be a finite number"):
        ServiceSettings(api_key=KEY, idle_timeout=value)


# The history


def test_the_history_holds_each_request_without_its_bulk() -> None:
    bench = Bench()
    peer = bench.peer()
    bench.pass_time(5)
    peer.send(upscale("A" * 100_000), upscale(image=3))
    _, first, second = bench.service.history.requests
    assert first.at == bench.now
    assert first.connection == peer.connection.number
    assert len(first.task["inputs"]["image"]) < 100
    assert second.task["inputs"] == {"image": 3}


def test_the_history_is_bounded() -> None:
    bench = Bench(max_records=10)
    peer = bench.peer()
    tasks = [upscale() for _ in range(15)]
    peer.send(*tasks)
    assert len(bench.service.history.requests) == 10
    assert list(bench.service.history.executions) == [t["taskUUID"] for t in tasks[5:]]


# Uploads


def test_an_upload_is_answered_with_an_object() -> None:
    bench = Bench()
    peer = bench.peer()
    task = {"taskType": "imageUpload", "taskUUID": new_uuid(), "image": text_of(picture())}
    peer.send(task)
    bench.finish()
    item = peer.frames[-1]["data"]
    assert item["taskType"] == "imageUpload"
    assert item["taskUUID"] == task["taskUUID"]
    assert item["imageURL"].endswith(f"{item['imageUUID']}.png")


def test_an_upload_may_be_answered_with_an_array() -> None:
    bench = Bench(upload_data="array")
    peer = bench.peer()
    peer.send({"taskType": "imageUpload", "taskUUID": new_uuid(), "image": LINK})
    bench.finish()
    assert isinstance(peer.frames[-1]["data"], list)


def test_an_upload_costs_nothing_and_conflicts_like_any_task() -> None:
    bench = Bench(credit=0)
    peer = bench.peer()
    task = {"taskType": "imageUpload", "taskUUID": new_uuid(), "image": LINK}
    peer.send(task, task)
    assert [error["code"] for error in peer.errors] == ["conflictTaskUUID"]
    assert bench.service.history.billed == 0
