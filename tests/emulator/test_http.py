"""Test the emulator over HTTP: the REST twin, images, webhooks and uploads of results."""

from __future__ import annotations

import json
import logging
import socket
import threading
from typing import cast

import httpx
import pytest

from runware_ws.emulator import Emulator
from runware_ws.emulator.server.host import Host
from runware_ws.emulator.server.http_server import make_app
from runware_ws.emulator.service.effects import Respond
from tests.emulator.bench import new_uuid, upscale
from tests.emulator.sockets import PIXELS, TIMEOUT, Receiver, get, post, until


@pytest.mark.parametrize("path", ["/v1", "/v1/"])
def test_the_rest_twin_answers_with_the_result(emulator: Emulator, path: str) -> None:
    response = post(emulator, upscale(PIXELS), path=path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert get(response.json()["data"][0]["imageURL"]).status_code == 200


def test_the_rest_twin_answers_errors_as_documented(emulator: Emulator) -> None:
    response = post(emulator, upscale(PIXELS, upscaleFactor=3))
    assert response.status_code == 400
    assert response.json()["errors"][0]["code"] == "unsupportedUpscaleFactor"


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic eDp5", "Bearer"])
def test_a_request_without_the_key_is_refused(emulator: Emulator, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    with httpx.Client(trust_env=False) as http:
        response = http.post(f"{emulator.http_url}/v1", json=[], headers=headers)
    assert response.status_code == 401
    assert response.json()["errors"][0]["parameter"] == "apiKey"


def test_an_unknown_image_is_not_found(emulator: Emulator) -> None:
    response = get(f"{emulator.http_url}/image/{new_uuid()}.jpg")
    assert response.status_code == 404
    assert response.json()["errors"][0]["code"] == "notFound"


@pytest.mark.parametrize(("path", "status"), [("/v1", 405), ("/", 404), ("/image/", 404)])
def test_other_addresses_and_methods_are_answered_in_the_documented_shape(
    emulator: Emulator, path: str, status: int
) -> None:
    response = get(emulator.http_url + path)
    assert response.status_code == status
    assert response.json()["errors"][0]["message"]


class BrokenHost:
    """A host that fails on each request."""

    async def request(self, body: bytes, key: str | None, *, dry_run: bool) -> Respond:
        raise LookupError("no bread")


@pytest.mark.anyio
async def test_a_fault_of_the_emulator_is_a_documented_500_and_raised_to_be_logged() -> None:
    app = make_app(cast(Host, BrokenHost()))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://emulator") as client:
        response = await client.post("/v1", json=[])
    assert response.status_code == 500
    assert response.json()["errors"][0]["code"] == "internalServerError"
    raising = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=raising, base_url="http://emulator") as client:
        with pytest.raises(LookupError, match="no bread"):
            await client.post("/v1", json=[])


def test_a_client_that_goes_away_in_the_middle_of_its_request_is_no_fault(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = emulator.http_url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port))) as leaving:
        leaving.sendall(b"POST /v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n[")
    assert post(emulator).status_code == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# Webhooks and uploads


def test_a_webhook_gets_the_result_also_at_the_second_try() -> None:
    with Receiver(refusals=1) as receiver, Emulator(webhook_delay=0.01) as emulator:
        task = upscale(PIXELS, webhookURL=receiver.url)
        assert post(emulator, task).json()["data"][0].keys() == {"taskType", "taskUUID"}
        bodies = [receiver.got.get(timeout=TIMEOUT) for _ in range(2)]
    assert bodies[0] == bodies[1]
    method, media_type, body = bodies[0]
    assert (method, media_type) == ("POST", "application/json")
    assert json.loads(body)["taskUUID"] == task["taskUUID"]


def test_a_result_is_put_to_its_upload_endpoint(emulator: Emulator) -> None:
    with Receiver() as receiver:
        item = post(emulator, upscale(PIXELS, uploadEndpoint=receiver.url)).json()["data"][0]
        method, media_type, body = receiver.got.get(timeout=TIMEOUT)
    assert (method, media_type) == ("PUT", "image/jpeg")
    assert body == get(item["imageURL"]).content


def test_a_result_that_had_to_make_room_is_not_uploaded_empty() -> None:
    emulator = Emulator(webhook_attempts=2, webhook_delay=0.0, max_image_bytes=1)
    with emulator, Receiver(1, lambda: post(emulator, upscale(PIXELS))) as receiver:
        post(emulator, upscale(PIXELS, uploadEndpoint=receiver.url))
        until(lambda: emulator.inspect(lambda service: bool(service.history.webhooks_failed)))
        receiver.got.get(timeout=TIMEOUT)
        assert receiver.got.empty()  # there was no second attempt


def test_a_webhook_that_is_not_answered_in_time_was_not_taken() -> None:
    never = threading.Event()
    emulator = Emulator(webhook_delay=0.0, webhook_attempts=2, webhook_timeout=0.05)
    with emulator, Receiver(1, lambda: never.wait(TIMEOUT)) as receiver:
        post(emulator, upscale(PIXELS, webhookURL=receiver.url))
        until(lambda: emulator.inspect(lambda service: bool(service.history.webhooks_failed)))
        never.set()


def test_a_webhook_that_nobody_takes_is_given_up() -> None:
    with Emulator(webhook_delay=0.0, webhook_attempts=3) as emulator:
        task = upscale(PIXELS, webhookURL="http://127.0.0.1:1/")
        post(emulator, task)
        until(lambda: emulator.inspect(lambda service: bool(service.history.webhooks_failed)))
        failed = emulator.inspect(lambda service: list(service.history.webhooks_failed))
    assert failed == [task["taskUUID"]]
