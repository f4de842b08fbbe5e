"""Webhooks: what the emulator really posts is read, in both forms, and each is taken once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any, Literal

import anyio
import anyio.to_thread
import pytest

from runware_ws import (
    InputError,
    ProtocolError,
    ProviderError,
    RunwareClient,
    TaskError,
    UpscaleResult,
    ValidationError,
)
from runware_ws.emulator import Emulator, Rules
from runware_ws.emulator.faults import Fail
from runware_ws.webhooks import Deliveries, has_secret, parse, parse_all, with_secret
from tests.emulator.bench import picture

UUID4 = "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"
RESULT = {"taskType": "imageUpscale", "taskUUID": UUID4, "imageURL": "https://example.com/a.jpg"}
ERROR = {"code": "invalidImage", "message": "Bad image.", "taskUUID": UUID4, "parameter": "image"}
FAILS = [Fail(code="providerError")]
Form = Literal["wrapped", "flat"]


class Hook(BaseHTTPRequestHandler):
    """Notes what it is sent, and answers with the statuses that the test has set."""

    server: HookServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.end_headers()
        self.server.posts.put((self.path, body))

    def log_request(self, *_: object) -> None:
        """Say nothing."""


class HookServer(ThreadingHTTPServer):
    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), Hook)
        self.statuses = list(statuses)
        self.posts: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
        self.url = f"http://127.0.0.1:{self.server_port}/hook"

    async def next_post(self) -> tuple[str, bytes]:
        return await anyio.to_thread.run_sync(lambda: self.posts.get(timeout=20))


@contextmanager
def hooked(*statuses: int) -> Iterator[HookServer]:
    with HookServer(*statuses) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["wrapped", "flat"])
async def test_what_is_posted_is_the_result_that_the_client_has(form: Form) -> None:
    with hooked() as hook:
        async with (
            Emulator(rules=Rules(webhook_body=form)) as emulator,
            RunwareClient(emulator.api_key, url=emulator.url) as client,
        ):
            result = await client.upscale(
                picture(), webhook_url=with_secret(hook.url, "s&cret"), include_cost=True
            )
            path, body = await hook.next_post()
    posted = parse(body)
    assert isinstance(posted, UpscaleResult)
    assert posted.task_uuid == result.task_uuid
    assert (posted.image_url, posted.cost) == (result.image_url, result.cost)
    assert posted.image_uuid == result.image_uuid
    assert has_secret(path, "s&cret")
    assert "taskUUID" in json.loads(body) if form == "flat" else "data" in json.loads(body)


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["wrapped", "flat"])
async def test_what_is_posted_is_the_error_that_the_client_has(form: Form) -> None:
    with hooked() as hook:
        async with (
            Emulator(
                rules=Rules(webhook_body=form), faults=[Fail(code="providerError")]
            ) as emulator,
            RunwareClient(emulator.api_key, url=emulator.url, max_retries=0) as client,
        ):
            with pytest.raises(ProviderError) as raised:
                await client.upscale(picture(), webhook_url=hook.url)
            _, body = await hook.next_post()
    with pytest.raises(ProviderError) as posted:
        parse(body)
    assert posted.value.code == raised.value.code
    assert posted.value.message == raised.value.message
    assert posted.value.task_uuid == raised.value.task_uuid


@pytest.mark.anyio
async def test_a_repeated_delivery_is_not_taken_again() -> None:
    deliveries = Deliveries()
    with hooked(500, 503) as hook:
        async with (
            Emulator(webhook_delay=0.01) as emulator,
            RunwareClient(emulator.api_key, url=emulator.url) as client,
        ):
            await client.upscale(picture(), webhook_url=hook.url)
            bodies = [(await hook.next_post())[1] for _ in range(3)]
    assert [deliveries.take(parse(body)) for body in bodies] == [True, False, False]


@pytest.mark.parametrize(
    "body",
    [RESULT, {"data": [RESULT]}, {"data": RESULT}, [{"data": [RESULT]}]],
    ids=["flat", "data", "object", "array"],
)
def test_a_result_is_read_in_every_form(body: Any) -> None:
    for text in (json.dumps(body), json.dumps(body).encode()):
        result = parse(text)
        assert (result.task_uuid, result.image_url, result.raw) == (
            UUID4,
            RESULT["imageURL"],
            RESULT,
        )


@pytest.mark.parametrize(
    "body",
    [
        ERROR,
        {"errors": [ERROR]},
        {"data": [], "errors": [ERROR]},
        {"error": ERROR},
        {"taskUUID": UUID4, "status": "error", "error": ERROR},
        {"data": [{"taskUUID": UUID4, "status": "error", "error": ERROR}]},
    ],
    ids=["flat", "errors", "both", "error", "item", "item in data"],
)
def test_an_error_is_read_in_every_form(body: Any) -> None:
    with pytest.raises(ValidationError) as raised:
        parse(json.dumps(body))
    error = raised.value
    assert (error.code, error.message, error.task_uuid, error.parameter) == (
        "invalidImage",
        "Bad image.",
        UUID4,
        "image",
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"nonsense", b"[1]", b"{}", b'{"data":[]}', json.dumps({"taskUUID": UUID4})],
)
def test_what_holds_no_outcome_is_refused(body: bytes | str) -> None:
    with pytest.raises(ProtocolError):
        parse(body)


def test_a_body_with_several_outcomes_loses_none() -> None:
    body = json.dumps({"data": [RESULT, RESULT], "errors": [ERROR]})
    with pytest.raises(ProtocolError, match="holds 3 results: use `parse_all`"):
        parse(body)
    kinds = [type(one) for one in parse_all(body)]
    assert kinds == [UpscaleResult, UpscaleResult, ValidationError]


@pytest.mark.parametrize("secret", ["abc", "ä +/&?#=%", "x" * 500])
@pytest.mark.parametrize("url", ["https://a.example/hook", "https://a.example/hook?of=1#here"])
def test_the_secret_is_found_in_the_url_that_holds_it(url: str, secret: str) -> None:
    secret_url = with_secret(url, secret)
    assert has_secret(secret_url, secret)
    assert "of=1" in secret_url or "of" not in url
    path = secret_url.removeprefix("https://a.example")
    assert has_secret(path, secret)


@pytest.mark.parametrize(
    "url",
    ["", "/hook", "/hook?token=", "/hook?token=abcd", "/hook?token=ab", "/hook?token=abc&token=x"],
)
def test_any_other_url_does_not_hold_the_secret(url: str) -> None:
    assert not has_secret(url, "abc")


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(InputError, match="secret"):
        with_secret("https://a.example/hook", "")
    with pytest.raises(InputError, match="secret"):
        has_secret("https://a.example/hook?token=", "")


def test_deliveries_remember_no_more_than_they_may() -> None:
    deliveries = Deliveries(max_size=3)
    results = [UpscaleResult(str(number), {}) for number in range(5)]
    assert all(deliveries.take(one) for one in results)
    assert len(deliveries) == 3
    assert [deliveries.take(one) for one in reversed(results)] == [False, False, False, True, True]


def test_a_delivery_that_is_given_back_is_taken_again() -> None:
    deliveries = Deliveries()
    assert deliveries.take(UpscaleResult(UUID4, {}))
    deliveries.give_back(UpscaleResult(UUID4, {}))
    assert deliveries.take(UpscaleResult(UUID4, {}))


def test_errors_without_a_name_are_not_taken_for_one_another() -> None:
    deliveries = Deliveries()
    error = TaskError("invalidImage", "Bad image.")
    deliveries.give_back(error)
    assert [deliveries.take(error), deliveries.take(error)] == [True, True]


def test_threads_take_each_delivery_once() -> None:
    deliveries = Deliveries()
    results = [UpscaleResult(str(number % 50), {}) for number in range(1000)]
    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(deliveries.take, results)) == 50
