"""Test the promises of the service to one connection: who may ask, and what is answered when."""

from __future__ import annotations

from typing import Any

import pytest

from runware_ws.emulator.service.jobs import Succeeded
from tests.emulator.bench import KEY, Bench, new_uuid, upscale

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
    assert peer.connection.session is None


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


def test_the_key_is_in_no_repr_and_no_history() -> None:
    bench = Bench()
    bench.peer()
    assert KEY not in repr(bench.settings)
    assert KEY not in repr(bench.service.history.requests)


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
    bench.finish(Succeeded("QUJD"))
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
