"""The emulator as a whole, through real sockets: from asyncio, trio and plain threads."""

from __future__ import annotations

import json
import logging
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import SimpleQueue
from typing import Any, Self

import anyio
import anyio.to_thread
import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from runware_ws.emulator import Emulator
from tests.emulator.bench import new_uuid, picture, text_of, upscale

TIMEOUT = 20
PIXELS = text_of(picture())


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


class Client:
    """A WebSocket client that knows nothing of ours."""

    def __init__(self, emulator: Emulator, session: str | None = None, max_queue: int = 16) -> None:
        self._connect = connect(
            emulator.url,
            max_size=None,
            max_queue=max_queue,
            compression=None,
            proxy=None,
            ping_interval=None,
        )
        self._authentication = {"taskType": "authentication", "apiKey": emulator.api_key}
        if session is not None:
            self._authentication["connectionSessionUUID"] = session

    def __enter__(self) -> Self:
        self.socket: ClientConnection = self._connect.__enter__()
        self.send(self._authentication)
        self.session: str = self.receive()["data"][0]["connectionSessionUUID"]
        return self

    def __exit__(self, *_: object) -> None:
        self._connect.__exit__(None, None, None)

    def send(self, *tasks: dict[str, Any]) -> None:
        self.socket.send(json.dumps(tasks))

    def receive(self) -> dict[str, Any]:
        frame = self.socket.recv(timeout=TIMEOUT)
        assert isinstance(frame, str)
        answer = json.loads(frame)
        assert isinstance(answer, dict)
        return answer


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    with Client(emulator) as connected:
        yield connected


def post(emulator: Emulator, *tasks: Any, path: str = "/v1") -> httpx.Response:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    with httpx.Client(trust_env=False, timeout=TIMEOUT) as http:
        return http.post(emulator.http_url + path, json=tasks, headers=headers)


def get(url: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=TIMEOUT) as http:
        return http.get(url)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline


# The WebSocket


def test_an_image_is_upscaled_and_served(client: Client) -> None:
    client.send(upscale(PIXELS, outputFormat="WEBP"))
    (item,) = client.receive()["data"]
    response = get(item["imageURL"])
    assert response.headers["content-type"] == "image/webp"
    assert response.content[8:12] == b"WEBP"


def test_a_served_image_can_be_the_input_by_its_link(client: Client) -> None:
    client.send(upscale(PIXELS))
    first = client.receive()["data"][0]
    client.send(upscale(first["imageURL"]))
    assert "imageURL" in client.receive()["data"][0]


def test_frames_are_text_and_not_compressed(emulator: Emulator) -> None:
    with connect(emulator.url, proxy=None) as offered:
        assert offered.protocol.extensions == []


def test_binary_frames_are_read(client: Client) -> None:
    client.socket.send(json.dumps([{"taskType": "ping", "ping": True}]).encode())
    assert client.receive() == {"data": [{"taskType": "ping", "pong": True}]}


def test_fragmented_frames_are_read(client: Client) -> None:
    client.socket.send(['[{"taskType":', '"ping","ping"', ":true}]"])
    assert client.receive() == {"data": [{"taskType": "ping", "pong": True}]}


def test_64_mib_go_in_and_out_in_one_frame(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runware_ws.emulator.pictures.upscale", lambda content, *_: content)
    image = "A" * 64 * 1024 * 1024
    client.send(upscale(image, outputType="base64Data"))
    assert client.receive()["data"][0]["imageBase64Data"] == image


def test_a_frame_over_the_limit_closes_the_connection_with_1009() -> None:
    with Emulator(max_frame_bytes=1000) as small, Client(small) as client:
        client.send(upscale("A" * 2000))
        with pytest.raises(ConnectionClosed) as caught:
            client.receive()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009


def test_a_dropped_session_is_resumed_with_what_it_missed() -> None:
    with Emulator(latency=0.2, replay="after") as slow:
        with Client(slow) as first:
            first.send(upscale(PIXELS), {"taskType": "ping"})
            assert first.receive()["data"][0]["pong"]
            first.socket.socket.shutdown(socket.SHUT_RDWR)
        with Client(slow, first.session) as second:
            assert second.session == first.session
            assert second.receive()["data"][0]["imageURL"]


def test_a_silent_connection_is_closed() -> None:
    with (
        Emulator(idle_timeout=0.2) as hasty,
        Client(hasty) as client,
        pytest.raises(ConnectionClosed),
    ):
        client.receive()


def test_the_wait_for_a_task_is_not_the_wait_for_the_next(emulator: Emulator) -> None:
    with Emulator(latency=0.3) as slow, Client(slow) as client:
        start = time.monotonic()
        client.send(*(upscale(PIXELS) for _ in range(20)))
        for _ in range(20):
            client.receive()
        assert time.monotonic() - start < 3


def test_ten_thousand_small_tasks_pass_through_one_connection(
    emulator: Emulator, client: Client
) -> None:
    tasks = [upscale(PIXELS, outputType="base64Data") for _ in range(10_000)]

    def send() -> None:
        for start in range(0, len(tasks), 100):
            client.send(*tasks[start : start + 100])

    sender = threading.Thread(target=send)
    sender.start()
    received = {client.receive()["data"][0]["taskUUID"] for _ in tasks}
    sender.join()
    assert received == {task["taskUUID"] for task in tasks}
    assert all(emulator.executions[uuid] == 1 for uuid in received)


# HTTP


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


def test_a_fault_of_the_emulator_is_a_documented_500_and_logged(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr("runware_ws.emulator.service.Service.request")
    response = post(emulator, upscale(PIXELS))
    assert response.status_code == 500
    assert response.json()["errors"][0]["code"] == "internalServerError"
    until(lambda: "AttributeError" in caplog.text)


def test_a_client_that_goes_away_in_the_middle_of_its_request_is_no_fault(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = emulator.http_url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port))) as leaving:
        leaving.sendall(b"POST /v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n[")
    assert post(emulator).status_code == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# Webhooks and uploads


class Receiver(HTTPServer):
    """Takes POST and PUT, refusing the first ones with 500 if told so."""

    def __init__(self, refusals: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refusals = refusals
        self.got: SimpleQueue[tuple[str, str, bytes]] = SimpleQueue()
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/x?token=1"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.refusals -= 1
        self.send_response(500 if self.server.refusals >= 0 else 204)
        self.end_headers()
        self.server.got.put((self.command, self.headers["content-type"], body))

    do_PUT = do_POST  # noqa: N815 - the library's naming

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
        """Quiet."""


def test_a_webhook_gets_the_result_also_at_the_second_try() -> None:
    with Receiver(refusals=1) as receiver, Emulator(webhook_delay=0.01) as emulator:
        task = upscale(PIXELS, webhookURL=receiver.url)
        assert post(emulator, task).json()["data"][0].keys() == {"taskType", "taskUUID"}
        bodies = [receiver.got.get(timeout=TIMEOUT) for _ in range(2)]
    assert bodies[0] == bodies[1]
    method, media_type, body = bodies[0]
    assert (method, media_type) == ("POST", "application/json")
    assert json.loads(body)["data"][0]["taskUUID"] == task["taskUUID"]


def test_a_result_is_put_to_its_upload_endpoint(emulator: Emulator) -> None:
    with Receiver() as receiver:
        item = post(emulator, upscale(PIXELS, uploadEndpoint=receiver.url)).json()["data"][0]
        method, media_type, body = receiver.got.get(timeout=TIMEOUT)
    assert (method, media_type) == ("PUT", "image/jpeg")
    assert body == get(item["imageURL"]).content


def test_a_result_that_had_to_make_room_is_not_uploaded_empty() -> None:
    with Receiver() as receiver, Emulator(webhook_attempts=1) as emulator:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("runware_ws.emulator.images.ImageStore.get", lambda *_: None)
            post(emulator, upscale(PIXELS, uploadEndpoint=receiver.url))
            until(lambda: emulator.look(lambda service: bool(service.record.webhooks_failed)))
        assert receiver.got.empty()


def test_a_webhook_that_nobody_takes_is_given_up() -> None:
    with Emulator(webhook_delay=0.0, webhook_attempts=3) as emulator:
        task = upscale(PIXELS, webhookURL="http://127.0.0.1:1/")
        post(emulator, task)
        until(lambda: emulator.look(lambda service: bool(service.record.webhooks_failed)))
        failed = emulator.look(lambda service: list(service.record.webhooks_failed))
    assert failed == [task["taskUUID"]]


# Life


def test_starting_and_stopping_is_quick() -> None:
    start = time.monotonic()
    with Emulator() as emulator, Client(emulator):
        pass
    assert time.monotonic() - start < 2


def test_stopping_closes_the_connections_that_are_open() -> None:
    with ExitStack() as stack:
        with Emulator() as emulator:
            client = stack.enter_context(Client(emulator))
        with pytest.raises(ConnectionClosed) as caught:
            client.receive()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1012


def test_stopping_answers_the_requests_that_wait() -> None:
    emulator = Emulator(latency=60)
    emulator.start()
    answer: Future[httpx.Response] = Future()
    poster = threading.Thread(target=lambda: answer.set_result(post(emulator, upscale(PIXELS))))
    poster.start()
    until(lambda: bool(emulator.executions))
    emulator.stop()
    poster.join()
    assert answer.result().status_code == 503


def test_stopping_does_not_wait_for_who_reads_nothing() -> None:
    noise = text_of(b"P6 1024 1024 255\n" + random.Random(1).randbytes(3 * 1024 * 1024))
    task = upscale(noise, outputType="base64Data", outputFormat="PNG")
    with Emulator() as emulator, Client(emulator, max_queue=1) as deaf:
        post(emulator, task)
        deaf.send(*({"taskType": "getTaskDetails", "taskUUID": task["taskUUID"]},) * 20)
        until(lambda: len(emulator.requests) >= 22)
        start = time.monotonic()
        emulator.stop()
        assert time.monotonic() - start < 3


def test_stopping_twice_and_starting_again_keeps_the_port_and_forgets_the_tasks() -> None:
    emulator = Emulator()
    emulator.start()
    url = emulator.url
    task = upscale(PIXELS)
    with Client(emulator) as client:
        client.send(task)
        client.receive()
    emulator.stop()
    emulator.stop()
    assert emulator.executions == {task["taskUUID"]: 1}
    with emulator:
        assert emulator.url == url
        assert emulator.executions == {}


def test_starting_twice_is_an_error() -> None:
    with Emulator() as emulator, pytest.raises(RuntimeError, match="is running"):
        emulator.start()


def test_what_prevents_the_start_is_raised_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    emulator = Emulator()
    with monkeypatch.context() as patch:
        patch.delattr("runware_ws.emulator.serving.make_app")
        with pytest.raises(NameError, match="make_app"):
            emulator.start()
    with emulator, Client(emulator):
        pass


def test_a_port_that_is_taken_is_an_error_at_once(emulator: Emulator) -> None:
    port = int(emulator.http_url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        Emulator(port=port).start()


def test_an_address_of_version_6_is_written_in_brackets() -> None:
    with Emulator(host="::1") as emulator:
        assert emulator.url.startswith("ws://[::1]:")
        with Client(emulator):
            pass


def test_a_wrong_setting_is_an_error_before_the_start() -> None:
    with pytest.raises(TypeError, match="colour"):
        Emulator(colour="red")


def test_each_emulator_makes_a_key_of_its_own_and_shows_it_nowhere(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), Client(emulator) as client:
        client.send(upscale(PIXELS))
        client.receive()
    assert emulator.api_key not in repr(emulator)
    assert emulator.api_key != Emulator().api_key
    server_side = [r for r in caplog.records if r.name.startswith(("uvicorn", "runware_ws"))]
    assert all(emulator.api_key not in record.getMessage() for record in server_side)


def test_what_arrived_can_be_seen(emulator: Emulator, client: Client) -> None:
    task = upscale(PIXELS)
    client.send(task)
    client.receive()
    assert emulator.executions[task["taskUUID"]] == 1
    assert emulator.requests[-1].task == task
    assert emulator.billed > 0


@pytest.mark.anyio
async def test_the_emulator_is_a_context_on_each_event_loop() -> None:
    async with Emulator() as emulator:
        with anyio.fail_after(TIMEOUT):
            item = await anyio.to_thread.run_sync(_one_task, emulator)
    assert item["imageURL"].startswith(emulator.http_url)


def _one_task(emulator: Emulator) -> dict[str, Any]:
    with Client(emulator) as client:
        client.send(upscale(PIXELS))
        item = client.receive()["data"][0]
        assert isinstance(item, dict)
        return item


@pytest.mark.anyio
async def test_the_emulator_stops_when_its_block_is_cancelled() -> None:
    with anyio.move_on_after(0.1):
        async with Emulator() as emulator:
            await anyio.sleep_forever()
    with pytest.raises(OSError, match=r"refused|failed"):
        await anyio.connect_tcp("127.0.0.1", int(emulator.http_url.rpartition(":")[2]))


# The extra

_WITHOUT = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"starlette", "uvicorn", "PIL", "httpx"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
"""


def run_without_the_extra(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT + code], capture_output=True, text=True, check=False
    )


def test_the_core_needs_nothing_of_the_extra() -> None:
    outcome = run_without_the_extra("import runware_ws.emulator.service")
    assert outcome.returncode == 0, outcome.stderr


def test_without_the_extra_the_error_says_what_to_install() -> None:
    outcome = run_without_the_extra("from runware_ws.emulator import Emulator")
    assert "ImportError: the emulator needs" in outcome.stderr
    assert 'pip install "runware-ws[emulator]"' in outcome.stderr
