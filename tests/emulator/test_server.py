"""Test the emulator's WebSocket through real sockets."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Drop
from tests.emulator.bench import upscale
from tests.emulator.sockets import PIXELS, Client, get


@pytest.fixture(scope="module")
def copying() -> Iterator[Emulator]:
    """An emulator whose results are its inputs, so that it works on frames alone."""
    with Emulator(upscaler=lambda content, *_: content) as running:
        yield running


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


def test_a_websocket_at_another_address_is_not_found(emulator: Emulator) -> None:
    with pytest.raises(InvalidStatus) as caught, connect(emulator.url + "/other", proxy=None):
        pass
    assert caught.value.response.status_code == 404


def test_frames_are_text_and_not_compressed(emulator: Emulator) -> None:
    with connect(emulator.url, proxy=None) as offered:
        assert offered.protocol.extensions == []


def test_binary_frames_are_read(client: Client) -> None:
    client.socket.send(json.dumps([{"taskType": "ping", "ping": True}]).encode())
    assert client.receive() == {"data": [{"taskType": "ping", "pong": True}]}


def test_fragmented_frames_are_read(client: Client) -> None:
    client.socket.send(['[{"taskType":', '"ping","ping"', ":true}]"])
    assert client.receive() == {"data": [{"taskType": "ping", "pong": True}]}


@pytest.mark.long
def test_64_mib_go_in_and_out_in_one_frame(copying: Emulator) -> None:
    image = "A" * 64 * 1024 * 1024
    with Client(copying) as client:
        client.send(upscale(image, outputType="base64Data"))
        assert client.receive()["data"][0]["imageBase64Data"] == image


@pytest.mark.parametrize("size", [2_000, 20_000_000])
def test_a_frame_over_the_limit_closes_the_connection_with_1009(size: int) -> None:
    with Emulator(max_frame_bytes=1000) as small, Client(small) as client:
        client.send(upscale("A" * size))
        with pytest.raises(ConnectionClosed) as caught:
            client.receive()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009


def test_a_dropped_session_is_resumed_with_what_it_missed() -> None:
    with Emulator(faults=[Drop(nth=1, how="reset")]) as dropping:
        with Client(dropping) as first:
            first.send(upscale(PIXELS))
            with pytest.raises(ConnectionClosed):
                first.receive()
        with Client(dropping, first.session) as second:
            assert second.session == first.session
            assert second.receive()["data"][0]["imageURL"]


def test_a_silent_connection_is_closed() -> None:
    with (
        Emulator(idle_timeout=0.2) as hasty,
        Client(hasty) as client,
        pytest.raises(ConnectionClosed),
    ):
        client.receive()


def test_tasks_wait_for_the_model_side_by_side() -> None:
    with Emulator(latency=0.3) as slow, Client(slow) as client:
        start = time.monotonic()
        client.send(*(upscale(PIXELS) for _ in range(20)))
        for _ in range(20):
            client.receive()
        assert 0.3 <= time.monotonic() - start < 3


def test_thousands_of_small_tasks_pass_through_one_connection(copying: Emulator) -> None:
    tasks = [upscale(PIXELS, outputType="base64Data") for _ in range(3_000)]

    def send(client: Client) -> None:
        for start in range(0, len(tasks), 100):
            client.send(*tasks[start : start + 100])

    with Client(copying) as client:
        sender = threading.Thread(target=send, args=(client,))
        sender.start()
        received = {client.receive()["data"][0]["taskUUID"] for _ in tasks}
        sender.join()
    assert received == {task["taskUUID"] for task in tasks}
    executions = copying.executions
    assert all(executions[uuid] == 1 for uuid in received)
