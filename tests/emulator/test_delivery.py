"""Test the delivery of outcomes: the synchronous wait, polling, details, webhooks, uploads."""

from __future__ import annotations

from typing import Any

import pytest

from runware_ws.emulator.service.jobs import Succeeded
from tests.emulator.bench import LINK, Bench, Peer, new_uuid, upscale

# The synchronous wait


def test_a_synchronous_task_is_waited_for_120_seconds() -> None:
    bench = Bench()
    peer = bench.peer()
    task = upscale()
    peer.send(task)
    bench.pass_time(60)
    peer.send({"taskType": "ping"})
    bench.pass_time(59.9)
    assert peer.errors == []
    bench.pass_time(0.2)
    (error,) = peer.errors
    assert (error["code"], error["taskUUID"]) == ("timeout", task["taskUUID"])


def test_a_task_that_took_too_long_is_finished_billed_and_found_by_asking() -> None:
    bench = Bench(sync_wait=10, sync_wait_ends="silence", cost=1)
    peer = bench.peer()
    task = upscale()
    peer.send(task)
    bench.pass_time(11)
    bench.finish()
    assert len(peer.frames) == 1
    assert bench.service.history.billed == 1
    peer.send({"taskType": "getResponse", "taskUUID": task["taskUUID"]})
    assert peer.items[-1]["imageURL"]


# Asynchronous delivery and polling


def test_an_asynchronous_task_is_acknowledged_and_never_pushed() -> None:
    bench = Bench()
    peer = bench.peer()
    tasks = [upscale(deliveryMethod="async") for _ in range(3)]
    (frame,) = peer.send(*tasks)
    assert [item["taskUUID"] for item in frame["data"]] == [one["taskUUID"] for one in tasks]
    assert all(set(item) == {"taskType", "taskUUID"} for item in frame["data"])
    bench.finish()
    bench.pass_time(119)
    assert len(peer.frames) == 2


def test_polling_gives_all_answers_in_one_frame() -> None:
    bench = Bench()
    peer = bench.peer()
    done, failed, running = (upscale(deliveryMethod="async") for _ in range(3))
    peer.send(done)
    bench.finish()
    peer.send(failed)
    bench.fail("inferenceError")
    peer.send(running)
    unknown = new_uuid()
    asked = [task["taskUUID"] for task in (done, failed, running)] + [unknown]
    (frame,) = peer.send(*({"taskType": "getResponse", "taskUUID": one} for one in asked))
    success, processing = frame["data"]
    failure, not_found = frame["errors"]
    assert (success["taskUUID"], success["status"]) == (asked[0], "success")
    assert success["taskType"] == "imageUpscale"
    assert success["imageURL"]
    assert failure["taskUUID"] == asked[1]
    assert (failure["code"], failure["status"]) == ("inferenceError", "error")
    assert processing == {
        "taskType": "imageUpscale",
        "taskUUID": asked[2],
        "status": "processing",
    }
    assert (not_found["taskUUID"], not_found["code"]) == (unknown, "taskNotFound")


def test_asking_for_an_unknown_task_may_give_no_data() -> None:
    peer = Bench(unknown_task="empty").peer()
    (frame,) = peer.send({"taskType": "getResponse", "taskUUID": new_uuid()})
    assert frame == {"data": []}


def test_a_synchronous_task_can_be_asked_for_as_well_from_anywhere() -> None:
    bench = Bench()
    task = upscale()
    bench.peer().send(task)
    other = bench.peer()
    question = {"taskType": "getResponse", "taskUUID": task["taskUUID"].upper()}
    other.send(question)
    bench.finish()
    other.send(question)
    assert [item["status"] for item in other.items[1:]] == ["processing", "success"]


def test_results_that_are_too_heavy_to_keep_expire_the_oldest_first() -> None:
    bench = Bench(max_result_bytes=10)
    peer = bench.peer()
    tasks = [upscale(deliveryMethod="async", outputType="base64Data") for _ in range(3)]
    peer.send(*tasks)
    bench.finish(Succeeded("QUJD"))
    peer.send(*({"taskType": "getResponse", "taskUUID": one["taskUUID"]} for one in tasks))
    assert [error["code"] for error in peer.errors] == ["taskExpired"]
    assert peer.errors[0]["taskUUID"] == tasks[0]["taskUUID"]
    peer.send(tasks[0])
    assert peer.errors[-1]["code"] == "conflictTaskUUID"


# Details


def details(peer: Peer, task: dict[str, Any]) -> dict[str, Any]:
    (frame,) = peer.send({"taskType": "getTaskDetails", "taskUUID": task["taskUUID"]})
    (item,) = frame["data"]
    assert item["taskType"] == "getTaskDetails"
    assert item["taskUUID"] == task["taskUUID"]
    assert isinstance(item, dict)
    return item


def test_details_give_the_request_and_the_response() -> None:
    bench = Bench()
    peer = bench.peer()
    task = upscale(deliveryMethod="async", ttl=60)
    peer.send(task)
    assert details(peer, task)["response"]["data"][0]["status"] == "processing"
    bench.finish()
    item = details(peer, task)
    assert item["request"] == [task]
    assert item["response"]["data"][0]["imageURL"]


def test_details_of_a_failed_task_give_its_error() -> None:
    bench = Bench()
    peer = bench.peer()
    task = upscale()
    peer.send(task)
    bench.fail("inferenceError")
    assert details(peer, task)["response"]["errors"][0]["code"] == "inferenceError"


@pytest.mark.parametrize(
    ("task", "member"),
    [
        (upscale("QUJD"), "inputs"),
        (upscale(taskType="imageUpscale", inputs=None, inputImage="QUJD"), "inputImage"),
        ({"taskType": "imageUpload", "taskUUID": new_uuid(), "image": "QUJD"}, "image"),
    ],
)
def test_details_show_an_inline_image_by_its_uuid(task: dict[str, Any], member: str) -> None:
    bench = Bench()
    peer = bench.peer()
    peer.send(task)
    uuid = bench.jobs[0].input_image_uuid
    shown = details(peer, task)["request"][0]
    assert shown[member] == ({"image": uuid} if member == "inputs" else uuid)


def test_details_of_an_unknown_task_are_an_error() -> None:
    peer = Bench().peer()
    uuid = new_uuid()
    peer.send({"taskType": "getTaskDetails", "taskUUID": uuid})
    (error,) = peer.errors
    assert (error["code"], error["taskUUID"]) == ("taskNotFound", uuid)
    assert error["taskType"] == "getTaskDetails"


# Webhooks and uploads of results

HOOK = "http://localhost:1/hook?token=secret"


def test_a_task_with_a_webhook_is_acknowledged_and_posted_not_pushed() -> None:
    bench = Bench()
    peer = bench.peer()
    task = upscale(webhookURL=HOOK)
    (frame,) = peer.send(task)
    assert frame["data"][0]["taskUUID"] == task["taskUUID"]
    bench.finish()
    (hook,) = bench.webhooks
    assert hook.url == HOOK
    assert hook.body.startswith(b'{"taskType":"imageUpscale"')
    assert len(peer.frames) == 2
    assert "secret" not in repr(hook)


def test_a_failed_task_is_posted_as_well() -> None:
    bench = Bench()
    bench.peer().send(upscale(webhookURL=HOOK))
    bench.fail()
    assert bench.webhooks[0].body.startswith(b'{"code":"inferenceError"')


@pytest.mark.parametrize(("fails", "start"), [(False, b'{"data":[{'), (True, b'{"errors":[{')])
def test_the_body_of_a_webhook_may_be_wrapped(fails: bool, start: bytes) -> None:
    bench = Bench(webhook_body="wrapped")
    bench.peer().send(upscale(webhookURL=HOOK))
    bench.fail() if fails else bench.finish()
    assert bench.webhooks[0].body.startswith(start)


def test_a_webhook_that_is_not_taken_is_tried_again_after_doubling_waits() -> None:
    bench = Bench(webhook_attempts=8)
    task = upscale(webhookURL=HOOK)
    bench.peer().send(task)
    bench.finish()
    waits: list[float | None] = []
    for attempt in range(1, 9):
        (hook,) = bench.webhooks
        bench.webhooks.clear()
        assert hook.attempt == attempt
        bench.service.delivered(hook, False, bench.now)
        start = bench.now
        while not bench.webhooks and bench.now < start + 20:
            bench.pass_time(0.25)
        waits.append(bench.now - start if bench.webhooks else None)
    assert waits == [0.25, 0.5, 1, 2, 4, 8, 8, None]
    assert list(bench.service.history.webhooks_failed) == [task["taskUUID"]]


def test_a_webhook_that_is_taken_is_not_sent_again() -> None:
    bench = Bench()
    bench.peer().send(upscale(webhookURL=HOOK))
    bench.finish()
    bench.service.delivered(bench.webhooks[0], True, bench.now)
    bench.pass_time(100)
    assert len(bench.webhooks) == 1


def test_a_result_is_put_where_the_request_says_and_again_if_refused() -> None:
    bench = Bench()
    peer = bench.peer()
    peer.send(upscale(uploadEndpoint=HOOK, outputFormat="WEBP"))
    bench.finish()
    (upload,) = bench.uploads
    assert upload.url == HOOK
    assert upload.image_uuid == peer.items[-1]["imageUUID"]
    bench.service.delivered(upload, False, bench.now)
    bench.pass_time(0.25)
    assert [one.attempt for one in bench.uploads] == [1, 2]


def test_a_failed_task_uploads_nothing() -> None:
    bench = Bench()
    bench.peer().send(upscale(LINK, uploadEndpoint=HOOK))
    bench.fail()
    assert bench.uploads == []


def test_nothing_waits_when_all_is_done() -> None:
    bench = Bench()
    peer = bench.peer()
    peer.send(upscale(), upscale(webhookURL=HOOK))
    bench.finish()
    peer.drop()
    bench.pass_time(100_000)
    assert bench.service.next_timer() is None
