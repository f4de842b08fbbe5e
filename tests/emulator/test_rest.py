"""Test the REST twin in the service: one request, one answer, a status by cause."""

from __future__ import annotations

import pytest

from runware_ws.emulator.service.answers import http_status
from runware_ws.emulator.service.jobs import Failed
from tests.emulator.bench import KEY, Bench, new_uuid, upscale

AUTHENTICATION = {"taskType": "authentication", "apiKey": KEY}


def codes(body: dict[str, list[dict[str, str]]]) -> list[str]:
    return [error["code"] for error in body.get("errors", [])]


def test_a_request_waits_for_its_synchronous_tasks() -> None:
    bench = Bench()
    tasks = [upscale(), upscale()]
    call = bench.post(*tasks)
    assert bench.responses == {}
    bench.jobs.reverse()
    bench.finish()
    status, body = bench.responses[call]
    assert status == 200
    assert [item["taskUUID"] for item in body["data"]] == [one["taskUUID"] for one in tasks]
    assert set(body) == {"data"}


def test_the_answers_have_the_order_of_the_tasks() -> None:
    tasks = [upscale(), upscale(deliveryMethod="async"), {"taskType": "ping"}, upscale()]
    _, body = Bench().answer(*tasks)
    assert [item.get("taskUUID") for item in body["data"]] == [t.get("taskUUID") for t in tasks]


def test_an_asynchronous_task_is_acknowledged_and_asked_for() -> None:
    bench = Bench()
    task = upscale(deliveryMethod="async")
    status, body = bench.responses[bench.post(task)]
    assert (status, body) == (
        200,
        {"data": [{"taskType": "imageUpscale", "taskUUID": task["taskUUID"]}]},
    )
    bench.finish()
    _, body = bench.answer({"taskType": "getResponse", "taskUUID": task["taskUUID"]})
    assert body["data"][0]["status"] == "success"


@pytest.mark.parametrize("tasks", [[], [{"taskType": "ping", "ping": True}]])
def test_what_needs_no_work_is_answered_at_once(tasks: list[dict[str, object]]) -> None:
    bench = Bench()
    status, body = bench.responses[bench.post(*tasks)]
    assert status == 200
    assert len(body["data"]) == len(tasks)


def test_a_request_without_a_key_is_refused() -> None:
    status, body = Bench().answer(upscale(), key=None)
    assert (status, codes(body)) == (401, ["missingApiKey"])


@pytest.mark.parametrize("key", ["wrong", ""])
def test_a_request_with_a_wrong_key_is_refused(key: str) -> None:
    bench = Bench()
    status, body = bench.answer(upscale(), key=key)
    assert (status, codes(body)) == (401, ["invalidApiKey"])
    assert bench.service.history.executions == {}


def test_a_key_without_permission_gives_403() -> None:
    status, body = Bench(restricted_keys=frozenset({"poor"})).answer(upscale(), key="poor")
    assert (status, codes(body)) == (403, ["forbidden"])


def test_the_key_may_come_as_the_first_task() -> None:
    status, body = Bench().answer(AUTHENTICATION, upscale(), key=None)
    assert status == 200
    assert len(body["data"]) == 1


def test_a_wrong_key_as_the_first_task_is_refused() -> None:
    status, body = Bench().answer(AUTHENTICATION | {"apiKey": "wrong"}, upscale(), key=None)
    assert (status, codes(body)) == (401, ["invalidApiKey"])


def test_an_authentication_in_the_middle_is_no_key() -> None:
    status, body = Bench().answer(upscale(), AUTHENTICATION, key=None)
    assert (status, codes(body)) == (401, ["missingApiKey"])


def test_an_invalid_task_gives_400() -> None:
    status, body = Bench().answer(upscale(upscaleFactor=3))
    assert (status, codes(body)) == (400, ["unsupportedUpscaleFactor"])


def test_a_request_with_an_invalid_task_is_refused_whole_and_runs_nothing() -> None:
    bench = Bench()
    good, bad = upscale(), upscale(upscaleFactor=3)
    status, body = bench.answer(good, bad, upscale(outputQuality=1))
    assert status == 400
    assert set(body) == {"errors"}
    assert codes(body) == ["unsupportedUpscaleFactor", "invalidOutputQuality"]
    assert bench.service.history.executions == {}
    assert bench.answer(good, bad | {"upscaleFactor": 4})[0] == 200


def test_what_succeeded_is_a_success_with_the_errors_beside_it() -> None:
    bench = Bench()
    known = upscale()
    bench.answer(known)
    status, body = bench.answer(known, upscale())
    assert status == 200
    assert len(body["data"]) == 1
    assert codes(body) == ["conflictTaskUUID"]


def test_when_nothing_succeeded_the_first_error_decides() -> None:
    bench = Bench(credit=0)
    question = {"taskType": "getResponse", "taskUUID": new_uuid()}
    status, body = bench.answer(upscale(), question)
    assert (status, codes(body)) == (402, ["insufficientCredits", "taskNotFound"])


def test_a_full_queue_gives_429() -> None:
    status, body = Bench(max_running=0).answer(upscale())
    assert (status, codes(body)) == (429, ["rateLimitExceeded"])


def test_a_task_that_failed_has_the_status_of_its_cause() -> None:
    bench = Bench()
    call = bench.post(upscale())
    bench.finish(Failed("serviceUnavailable", "Maintenance."))
    assert bench.responses[call][0] == 503


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("invalidOutputType", 400),
        ("conflictTaskUUID", 400),
        ("unknownParameter", 400),
        ("taskNotFound", 400),
        ("downloadFailed", 400),
        ("nsfwContentDetected", 400),
        ("neverHeardOf", 400),
        ("invalidApiKey", 401),
        ("missingApiKey", 401),
        ("unauthorized", 401),
        ("insufficientCredits", 402),
        ("quotaExceeded", 402),
        ("forbidden", 403),
        ("permissionDenied", 403),
        ("accountSuspended", 403),
        ("rateLimitExceeded", 429),
        ("imageRateLimitExceeded", 429),
        ("internalServerError", 500),
        ("inferenceError", 500),
        ("serviceUnavailable", 503),
        ("noAvailableServer", 503),
        ("timeout", 504),
        ("timeoutProvider", 504),
    ],
)
def test_each_cause_has_its_status(code: str, status: int) -> None:
    assert http_status([{"code": code}], any_data=False) == status
    assert http_status([{"code": code}], any_data=True) == 200


def test_a_request_waits_no_longer_than_the_synchronous_wait() -> None:
    bench = Bench()
    task = upscale()
    call = bench.post(task)
    bench.pass_time(119.9)
    assert bench.responses == {}
    bench.pass_time(0.1)
    status, body = bench.responses[call]
    assert (status, codes(body)) == (504, ["timeout"])
    bench.finish()
    assert len(bench.responses) == 1
    _, body = bench.answer({"taskType": "getResponse", "taskUUID": task["taskUUID"]})
    assert body["data"][0]["status"] == "success"


def test_a_client_that_hangs_up_does_not_stop_its_tasks() -> None:
    bench = Bench()
    task = upscale()
    call = bench.post(task)
    bench.service.hang_up(call)
    bench.finish()
    assert bench.responses == {}
    _, body = bench.answer({"taskType": "getResponse", "taskUUID": task["taskUUID"]})
    assert body["data"][0]["status"] == "success"


def test_rest_and_websocket_know_the_same_tasks() -> None:
    bench = Bench()
    task = upscale()
    bench.peer().send(task)
    status, body = bench.answer(task)
    assert (status, codes(body)) == (400, ["conflictTaskUUID"])


def test_an_upload_over_rest_is_an_item_like_any_other() -> None:
    task = {"taskType": "imageUpload", "taskUUID": new_uuid(), "image": "QUJD"}
    status, body = Bench().answer(task)
    assert status == 200
    assert body["data"][0]["imageUUID"]
