"""The promises of the service to one connection: who may ask, and what is answered when."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runware_ws.emulator.jobs import Made
from runware_ws.emulator.settings import ServiceSettings
from tests.emulator.bench import KEY, LINK, Bench, new_uuid, picture, text_of, upscale

# Authentication


def test_a_good_key_is_answered_with_a_session() -> None:
    peer = Bench().peer(authenticated=False)
    (frame,) = peer.authenticate()
    assert frame == {
        "data": [{"taskType": "authentication", "connectionSessionUUID": peer.session}]
    }


def test_a_wrong_key_is_refused_as_documented() -> None:
    peer = Bench().peer(authenticated=False)
    (frame,) = peer.authenticate("wrong")
    (error,) = frame["errors"]
    assert set(frame) == {"errors"}
    assert (error["code"], error["parameter"]) == ("invalidApiKey", "apiKey")
    assert error["taskType"] == "authentication"
    assert "taskUUID" not in error


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "missingApiKey"),
        ({"apiKey": None}, "missingApiKey"),
        ({"apiKey": ""}, "missingApiKey"),
        ({"apiKey": 1}, "invalidApiKey"),
        ({"apiKey": KEY.upper()}, "invalidApiKey"),
        ({"apiKey": KEY, "taskUUID": new_uuid()}, "unknownParameter"),
        ({"apiKey": KEY, "connectionSessionUUID": 1}, "invalidConnectionSessionUUID"),
        ({"apiKey": KEY, "connectionSessionUUID": "x"}, "invalidConnectionSessionUUID"),
    ],
)
def test_an_authentication_is_checked(members: dict[str, Any], code: str) -> None:
    peer = Bench().peer(authenticated=False)
    peer.send({"taskType": "authentication", **members})
    assert [error["code"] for error in peer.errors] == [code]
    assert peer.link.session is None


def test_after_a_wrong_key_the_right_one_is_accepted() -> None:
    peer = Bench().peer(authenticated=False)
    peer.authenticate("wrong")
    peer.authenticate()
    assert peer.session


def test_no_task_is_run_before_the_key_is_shown() -> None:
    bench = Bench()
    peer = bench.peer(authenticated=False)
    task = upscale()
    peer.send(task, {"taskType": "ping", "ping": True})
    assert [error["code"] for error in peer.errors] == ["missingApiKey"] * 2
    assert peer.errors[0]["taskUUID"] == task["taskUUID"]
    assert bench.jobs == []


def test_tasks_may_follow_the_authentication_in_its_frame() -> None:
    bench = Bench()
    peer = bench.peer(authenticated=False)
    peer.send({"taskType": "authentication", "apiKey": KEY}, upscale())
    assert len(bench.jobs) == 1


def test_a_key_without_permission_is_told_so() -> None:
    bench = Bench(restricted_keys=frozenset({"poor"}))
    peer = bench.peer(authenticated=False)
    peer.authenticate("poor")
    assert peer.errors[0]["code"] == "forbidden"


def test_authenticating_again_keeps_the_session() -> None:
    peer = Bench().peer()
    session = peer.session
    peer.authenticate()
    assert peer.items[-1]["connectionSessionUUID"] == session


def test_the_key_is_in_no_repr_and_no_record() -> None:
    bench = Bench()
    bench.peer()
    assert KEY not in repr(bench.settings)
    assert KEY not in repr(bench.service.record.requests)


# Keep-alive


def test_a_ping_is_answered() -> None:
    (frame,) = Bench().peer().send({"taskType": "ping", "ping": True})
    assert frame == {"data": [{"taskType": "ping", "pong": True}]}


@pytest.mark.parametrize(("silence", "is_closed"), [(119.9, False), (120, True)])
def test_a_silent_connection_is_closed_after_120_seconds(silence: float, is_closed: bool) -> None:
    bench = Bench()
    peer = bench.peer()
    bench.pass_time(silence)
    assert (peer.closed is not None) is is_closed
    assert (peer.send({"taskType": "ping"}) == []) is is_closed


def test_a_connection_that_never_authenticates_is_closed_as_well() -> None:
    bench = Bench()
    peer = bench.peer(authenticated=False)
    bench.pass_time(120)
    assert peer.closed is not None


def test_what_the_client_sends_keeps_the_connection_alive() -> None:
    bench = Bench()
    peer = bench.peer()
    for _ in range(5):
        bench.pass_time(119)
        peer.send({"taskType": "ping"})
    assert peer.closed is None


def test_what_the_service_sends_keeps_the_connection_alive() -> None:
    bench = Bench()
    peer = bench.peer()
    peer.send(upscale())
    bench.pass_time(100)
    bench.finish()
    bench.pass_time(119)
    assert peer.closed is None


# Results


def answer_of(bench: Bench, **members: Any) -> dict[str, Any]:
    peer = bench.peer()
    peer.send(upscale(**members))
    bench.finish(Made("QUJD"))
    (frame,) = peer.frames[1:]
    (item,) = frame["data"]
    assert isinstance(item, dict)
    return item


def test_a_result_has_the_documented_members() -> None:
    task_uuid = new_uuid()
    item = answer_of(Bench(image_url="http://host/image"), taskUUID=task_uuid)
    assert set(item) == {"taskType", "taskUUID", "imageUUID", "imageURL", "inputImageUUID"}
    assert item["taskType"] == "imageUpscale"
    assert item["taskUUID"] == task_uuid
    assert item["imageURL"] == f"http://host/image/{item['imageUUID']}.jpg"
    assert item["inputImageUUID"] not in {item["imageUUID"], task_uuid}


@pytest.mark.parametrize(
    ("output_format", "head"),
    [("JPG", "data:image/jpeg"), ("PNG", "data:image/png"), ("WEBP", "data:image/webp")],
)
def test_a_data_uri_names_its_format(output_format: str, head: str) -> None:
    item = answer_of(Bench(), outputType="dataURI", outputFormat=output_format)
    assert item["imageDataURI"] == f"{head};base64,QUJD"
    assert "imageURL" not in item


def test_base64_is_given_alone() -> None:
    item = answer_of(Bench(), outputType="base64Data")
    assert item["imageBase64Data"] == "QUJD"
    assert "imageURL" not in item


@pytest.mark.parametrize(("output_format", "end"), [("JPG", "jpg"), ("PNG", "png")])
def test_a_link_ends_with_the_format(output_format: str, end: str) -> None:
    assert answer_of(Bench(), outputFormat=output_format)["imageURL"].endswith(f".{end}")


def test_the_cost_is_told_only_if_asked_for() -> None:
    assert answer_of(Bench(cost=0.5), includeCost=True)["cost"] == 0.5
    assert "cost" not in answer_of(Bench(), includeCost=False)


def test_an_input_that_has_a_uuid_keeps_it() -> None:
    uuid = new_uuid()
    assert answer_of(Bench(), image=uuid)["inputImageUUID"] == uuid


def test_the_task_uuid_comes_back_as_it_was_sent() -> None:
    uuid = new_uuid().upper()
    assert answer_of(Bench(), taskUUID=uuid)["taskUUID"] == uuid


def test_results_come_in_the_order_in_which_they_are_made() -> None:
    bench = Bench()
    peer = bench.peer()
    tasks = [upscale(), upscale()]
    peer.send(*tasks)
    bench.jobs.reverse()
    bench.finish()
    uuids = [item["taskUUID"] for item in peer.items[1:]]
    assert uuids == [task["taskUUID"] for task in reversed(tasks)]


def test_a_job_reported_twice_is_answered_once() -> None:
    bench = Bench()
    peer = bench.peer()
    peer.send(upscale())
    jobs = list(bench.jobs)
    bench.finish()
    bench.jobs = jobs
    bench.fail()
    assert len(peer.items) == 2
    assert peer.errors == []


def test_a_failure_of_the_engine_is_an_error_of_its_task() -> None:
    bench = Bench()
    peer = bench.peer()
    task = upscale()
    peer.send(task)
    bench.fail("inferenceError", "It broke.")
    (error,) = peer.errors
    assert (error["code"], error["message"]) == ("inferenceError", "It broke.")
    assert (error["taskType"], error["taskUUID"]) == ("upscale", task["taskUUID"])


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
    assert bench.service.record.executions == {task["taskUUID"]: 1}
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
    assert bench.service.record.billed == pytest.approx(0.0026)


def test_a_full_queue_refuses_until_there_is_room() -> None:
    bench = Bench(max_running=1)
    peer = bench.peer()
    task = upscale()
    peer.send(upscale(), task)
    assert [error["code"] for error in peer.errors] == ["rateLimitExceeded"]
    bench.finish()
    peer.send(task)
    assert len(bench.jobs) == 1


def test_a_setting_that_makes_no_sense_is_an_error() -> None:
    with pytest.raises(ValueError, match="idle_timeout must not be negative"):
        ServiceSettings(api_key=KEY, idle_timeout=-1)


# The record


def test_the_record_holds_each_request_without_its_bulk() -> None:
    bench = Bench()
    peer = bench.peer()
    bench.pass_time(5)
    peer.send(upscale("A" * 100_000), upscale(image=3))
    _, first, second = bench.service.record.requests
    assert first.at == bench.now
    assert first.link == peer.link.number
    assert len(first.task["inputs"]["image"]) < 100
    assert second.task["inputs"] == {"image": 3}


def test_the_record_is_bounded() -> None:
    bench = Bench(max_records=10)
    peer = bench.peer()
    tasks = [upscale() for _ in range(15)]
    peer.send(*tasks)
    assert len(bench.service.record.requests) == 10
    assert list(bench.service.record.executions) == [t["taskUUID"] for t in tasks[5:]]


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
    assert bench.service.record.billed == 0
