"""Test every member and every limit of the OpenAPI document, on the WebSocket and over REST."""

from __future__ import annotations

from typing import Any

import pytest

from runware_ws.emulator.service.jobs import Job
from tests.emulator.bench import LINK, Bench, new_uuid, upscale

UUID_V1 = "6c84fb90-12c4-11e1-840d-7b25c5ee775a"


def each(member: str, *values: Any, code: str = "") -> list[tuple[str, Any, str]]:
    """A case for each value of a member, with the code of the error that refuses it."""
    return [(member, value, code) for value in values]


ACCEPTED = [
    *each("upscaleFactor", 2, 4, 2.0, 4.0),
    *each("outputType", "URL", "base64Data", "dataURI"),
    *each("outputFormat", "JPG", "PNG", "WEBP"),
    *each("outputQuality", 20, 21, 95, 98, 99, 20.0),
    *each("ttl", 60, 61, 10**9, 2**70),
    *each("includeCost", True, False),
    *each("webhookURL", "http://a.b/c?d=e", "https://u:p@a.b:8443/"),
    *each("uploadEndpoint", "http://localhost:1/x", "https://a.b/c?X-Sig=d"),
    *each("deliveryMethod", "sync", "async"),
]
REFUSED = [
    *each("upscaleFactor", 0, 1, 3, 5, 8, -2, 10**30, code="unsupportedUpscaleFactor"),
    *each("upscaleFactor", "2", 2.5, True, None, [2], {}, code="invalidUpscaleFactor"),
    *each("outputType", "url", "", "base64", "URL ", code="unsupportedOutputType"),
    *each("outputType", 1, None, ["URL"], {}, False, code="invalidOutputType"),
    *each("outputFormat", "jpg", "JPEG", "GIF", "TIFF", "", code="unsupportedOutputFormat"),
    *each("outputFormat", 1, None, ["PNG"], {}, code="invalidOutputFormat"),
    *each("outputQuality", 19, 100, 0, -1, 19.0, 10**30, code="invalidOutputQuality"),
    *each("outputQuality", "95", 95.5, True, None, [95], code="invalidOutputQuality"),
    *each("ttl", 59, 0, -60, "60", 60.5, True, None, [60], code="invalidTtl"),
    *each("includeCost", 0, 1, "true", None, [], code="invalidIncludeCost"),
    *each("webhookURL", "", "a.b/c", "http://", "//a.b", "x y", code="invalidWebhookURL"),
    *each("webhookURL", 1, None, True, ["http://a.b"], {}, code="invalidWebhookURL"),
    *each("uploadEndpoint", "", "a.b", "https://", "/p", code="invalidUploadEndpoint"),
    *each("uploadEndpoint", 1, None, True, ["http://a"], {}, code="invalidUploadEndpoint"),
    *each("deliveryMethod", "Sync", "", "push", code="unsupportedDeliveryMethod"),
    *each("deliveryMethod", 0, None, True, ["sync"], code="invalidDeliveryMethod"),
    *each("taskUUID", "", "x", UUID_V1, UUID_V1[:-1], " " + UUID_V1, code="invalidTaskUUID"),
    *each("taskUUID", 1, None, True, [UUID_V1], {}, code="invalidTaskUUID"),
    *each("model", "", "runware:504@2", "RUNWARE:504@1", code="unsupportedModel"),
    *each("model", 1, None, True, ["runware:504@1"], code="invalidModel"),
    *each("inputs", None, "x", 1, [], [LINK], True, code="invalidInputs"),
    *each("taskType", "Upscale", "", code="unsupportedTaskType"),
    *each("taskType", 1, None, ["upscale"], {}, code="invalidTaskType"),
]
IMAGES = [
    new_uuid(),
    new_uuid().upper(),
    UUID_V1,
    LINK,
    "HTTPS://EXAMPLE.COM/CAT.JPG",
    "http://127.0.0.1:8080/a%20b.png?c=d#e",
    "data:image/png;base64,QUJD",
    "data:image/JPEG;base64,QUI=",
    "QUJD",
    "abc+/==",
    "QUI",
]
NO_IMAGES = [
    "",
    " ",
    "not base64!",
    "QUJD\n",
    "cat.jpg",
    "./etc/passwd",
    "file:///etc/passwd",
    "ftp://example.com/cat.jpg",
    "http://",
    "http://[",
    "http://a:b/c",
    "http://\x7f/",
    "data:image/png;base64,",
    "data:image/png,QUJD",
    "data:image/svg+xml;base64,QUJD",
    "data:text/plain;base64,QUJD",
    "QÜJD",
    1,
    None,
    True,
    [LINK],
    {"url": LINK},
]


def with_member(member: str, value: Any) -> dict[str, Any]:
    """A task with this member, which may be null."""
    return {**upscale(), member: value}


def accepted_job(bench: Bench, task: dict[str, Any]) -> Job:
    """The job that the task became, sent on a WebSocket."""
    peer = bench.peer()
    peer.send(task)
    assert peer.errors == []
    (job,) = bench.jobs
    return job


def refusals(bench: Bench, task: Any) -> list[dict[str, Any]]:
    """The task's errors, on a WebSocket and over REST, which must say the same."""
    peer = bench.peer()
    peer.send(task)
    status, body = bench.answer(task)
    assert status == 400
    assert bench.jobs == []
    assert body["errors"] == peer.errors
    assert set(body) == {"errors"}
    return peer.errors


@pytest.mark.parametrize(("member", "value", "_code"), ACCEPTED)
def test_what_the_document_allows_is_accepted(member: str, value: Any, _code: str) -> None:
    job = accepted_job(Bench(), upscale(**{member: value}))
    assert job.options[member] == value
    assert type(job.options[member]) is not float


@pytest.mark.parametrize(("member", "value", "_code"), ACCEPTED)
def test_what_the_document_allows_is_accepted_over_rest(
    member: str, value: Any, _code: str
) -> None:
    status, body = Bench().answer(upscale(**{member: value}))
    assert status == 200
    assert len(body["data"]) == 1


@pytest.mark.parametrize(("member", "value", "code"), REFUSED)
def test_what_the_document_forbids_is_refused(member: str, value: Any, code: str) -> None:
    (error,) = refusals(Bench(), with_member(member, value))
    assert error["code"] == code
    assert error["parameter"] == member


@pytest.mark.parametrize("member", ["taskType", "taskUUID", "model", "inputs"])
def test_a_required_member_that_is_missing_is_named(member: str) -> None:
    (error,) = refusals(Bench(), upscale(**{member: None}))
    assert error["code"] == f"missing{member[0].upper()}{member[1:]}"
    assert error["parameter"] == member


@pytest.mark.parametrize("image", IMAGES)
def test_each_form_of_an_image_is_accepted(image: str) -> None:
    assert accepted_job(Bench(), upscale(image)).image == image


@pytest.mark.parametrize("image", NO_IMAGES)
def test_what_is_no_form_of_an_image_is_refused(image: Any) -> None:
    (error,) = refusals(Bench(), upscale(image))
    assert error["code"] == "invalidImage"
    assert error["parameter"] == "inputs.image"


def test_inputs_without_an_image_are_refused() -> None:
    (error,) = refusals(Bench(), upscale(inputs={}))
    assert (error["code"], error["parameter"]) == ("missingImage", "inputs.image")


@pytest.mark.parametrize("name", ["scale", "TTL", "upscalefactor", "", "inputImage", "ping"])
def test_a_member_that_the_document_does_not_know_is_refused(name: str) -> None:
    (error,) = refusals(Bench(), upscale(**{name: 1}))
    assert (error["code"], error["parameter"]) == ("unknownParameter", name)


def test_inputs_know_no_member_but_the_image() -> None:
    (error,) = refusals(Bench(), upscale(inputs={"image": LINK, "mask": LINK}))
    assert (error["code"], error["parameter"]) == ("unknownParameter", "inputs.mask")


def test_an_error_has_the_members_of_the_document() -> None:
    task = upscale(outputQuality=19)
    (error,) = refusals(Bench(), task)
    assert error == {
        "code": "invalidOutputQuality",
        "message": "outputQuality: 19 is out of range; pass an integer from 20 to 99.",
        "parameter": "outputQuality",
        "min": 20,
        "max": 99,
        "taskType": "upscale",
        "taskUUID": task["taskUUID"],
        "documentation": "https://runware.ai/docs/models/real-esrgan#outputQuality",
    }


def test_a_choice_that_is_not_there_comes_with_those_that_are() -> None:
    (error,) = refusals(Bench(), upscale(outputFormat="GIF"))
    assert error["allowedValues"] == ["JPG", "PNG", "WEBP"]


def test_members_that_are_missing_take_their_defaults() -> None:
    job = accepted_job(Bench(), upscale())
    assert job.options == {
        "upscaleFactor": 2,
        "outputType": "URL",
        "outputFormat": "JPG",
        "outputQuality": 95,
        "includeCost": False,
        "deliveryMethod": "sync",
    }


def test_the_factor_taken_by_default_is_a_setting() -> None:
    assert accepted_job(Bench(default_upscale_factor=4), upscale()).options["upscaleFactor"] == 4


def test_ttl_without_a_link_means_nothing_and_is_no_error() -> None:
    accepted_job(Bench(), upscale(ttl=60, outputType="base64Data"))


def test_the_older_form_of_official_clients_is_accepted() -> None:
    task = upscale(taskType="imageUpscale", inputs=None, model=None, inputImage=LINK)
    job = accepted_job(Bench(), task | {"upscaleFactor": 4})
    assert (job.image, job.options["upscaleFactor"]) == (LINK, 4)


def test_the_older_task_type_may_have_the_newer_members() -> None:
    assert accepted_job(Bench(), upscale(taskType="imageUpscale")).image == LINK


@pytest.mark.parametrize(
    ("members", "code", "parameter"),
    [
        ({"inputs": None}, "missingInputs", "inputs"),
        ({"inputs": None, "inputImage": "cat.jpg"}, "invalidImage", "inputImage"),
        ({"inputs": 5, "inputImage": LINK}, "invalidInputs", "inputs"),
        ({"model": "runware:500@2"}, "unsupportedModel", "model"),
        (
            {"model": "runware:500@1", "upscaleFactor": 4},
            "unsupportedUpscaleFactor",
            "upscaleFactor",
        ),
        ({"routing": []}, "invalidRouting", "routing"),
        ({"upscaleFactor": 3}, "unsupportedUpscaleFactor", "upscaleFactor"),
        ({"strength": 1}, "unknownParameter", "strength"),
    ],
)
def test_the_older_form_is_checked_as_well(
    members: dict[str, Any], code: str, parameter: str
) -> None:
    (error,) = refusals(Bench(), upscale(taskType="imageUpscale", **members))
    assert (error["code"], error["parameter"]) == (code, parameter)


@pytest.mark.parametrize(
    ("members", "code", "parameter"),
    [
        ({}, "missingImage", "image"),
        ({"image": "cat.jpg"}, "invalidImage", "image"),
        ({"image": 1}, "invalidImage", "image"),
        ({"image": LINK, "outputType": "URL"}, "unknownParameter", "outputType"),
        ({"image": LINK, "taskUUID": "x"}, "invalidTaskUUID", "taskUUID"),
    ],
)
def test_an_upload_is_checked(members: dict[str, Any], code: str, parameter: str) -> None:
    task = {"taskType": "imageUpload", "taskUUID": new_uuid(), **members}
    (error,) = refusals(Bench(), task)
    assert (error["code"], error["parameter"]) == (code, parameter)


@pytest.mark.parametrize("kind", ["getResponse", "getTaskDetails"])
@pytest.mark.parametrize(
    ("members", "code"), [({}, "missingTaskUUID"), ({"taskUUID": "x"}, "invalidTaskUUID")]
)
def test_a_question_must_name_a_task(kind: str, members: dict[str, Any], code: str) -> None:
    (error,) = refusals(Bench(), {"taskType": kind, **members})
    assert error["code"] == code


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"1",
        b'"x"',
        b"{}",
        b"[1]",
        b"[null]",
        b"[[]]",
        b'[{"taskType":"ping"},1]',
        b"\xff\xfe",
        b'[{"a":"\\ud800"}]',
        b"[" * 100_000,
    ],
)
def test_a_request_that_is_no_array_of_objects_is_refused_whole(body: bytes) -> None:
    bench = Bench()
    peer = bench.peer()
    (frame,) = peer.send_raw(body)
    status, answer = bench.responses[bench.post_raw(body)]
    assert status == 400
    assert answer == frame
    assert frame["errors"][0]["code"] == "invalidRequest"
    assert peer.connection.is_open


def test_a_deeply_nested_member_harms_nobody() -> None:
    bench = Bench()
    peer = bench.peer()
    peer.send_raw(b'[{"taskType":"upscale","x":' + b'{"a":[' * 400 + b"]}" * 400 + b"}]")
    assert [error["code"] for error in peer.errors] == ["missingTaskUUID"]
