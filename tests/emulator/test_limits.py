"""Bounds of the emulator: it takes little memory whatever is sent to it, and calls no strangers."""

from __future__ import annotations

import json
import logging
import socket
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from runware_ws.emulator import Emulator
from tests.emulator.bench import text_of, upscale
from tests.emulator.sockets import PIXELS, TIMEOUT, Client, Receiver, get, post, until

MEBIBYTE = 1024 * 1024


def png_of(side: int) -> bytes:
    """Return a small file of a large image: white, and never unfolded here."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    packer = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_small_file_of_a_huge_image_is_refused(client: Client) -> None:
    client.send(upscale(text_of(png_of(9_000))))
    (error,) = client.receive()["errors"]
    assert error["code"] == "invalidImage"
    assert "pixels" in error["message"]


def test_a_body_is_large_only_with_the_key(emulator: Emulator) -> None:
    image = "A" * MEBIBYTE
    assert post(emulator, upscale(image)).status_code == 400  # it was read, and is no image
    authentication = {"taskType": "authentication", "apiKey": emulator.api_key}
    with httpx.Client(trust_env=False, timeout=TIMEOUT) as http:
        url = f"{emulator.http_url}/v1"
        assert http.post(url, json=[authentication, upscale(image)]).status_code == 400
        wrong = {"Authorization": "Bearer wrong"}
        assert http.post(url, json=[upscale(image)], headers=wrong).status_code == 413


def test_a_body_without_end_is_not_read_without_the_key(emulator: Emulator) -> None:
    """The connection ends long before all of it was sent."""
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            yield bytes(MEBIBYTE)
            sent += MEBIBYTE

    with httpx.Client(trust_env=False, timeout=TIMEOUT) as http:
        try:
            status = http.post(f"{emulator.http_url}/v1", content=body()).status_code
        except httpx.TransportError:
            status = 413
    assert status == 413
    assert sent < 200 * MEBIBYTE


def test_a_large_frame_of_a_stranger_ends_the_connection(emulator: Emulator) -> None:
    with connect(emulator.url, proxy=None, max_size=None) as stranger:
        with pytest.raises(ConnectionClosed) as caught:
            send_tasks(stranger, 1000, MEBIBYTE)
        assert caught.value.rcvd is None or caught.value.rcvd.code == 1008


def test_a_peer_that_never_reads_is_not_read_either() -> None:
    """Nothing more is taken from it while megabytes wait for it."""
    with Emulator(upscaler=lambda content, *_: content) as emulator:
        peer = connect(emulator.url, proxy=None, max_size=None, max_queue=1, compression=None)
        with peer:
            peer.send(json.dumps([{"taskType": "authentication", "apiKey": emulator.api_key}]))
            peer.recv(timeout=TIMEOUT)
            patience = struct.pack("ll", 0, 500_000)
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
            with pytest.raises((OSError, ConnectionClosed)):
                send_tasks(peer, 200, 2 * MEBIBYTE)
            assert len(emulator.requests) < 60


def send_tasks(peer: ClientConnection, count: int, size: int) -> None:
    for _ in range(count):
        peer.send(json.dumps([upscale("A" * size, outputType="base64Data")]))


@pytest.fixture
def strange_host() -> httpx.MockTransport:
    """All hosts of the world, who note their visitors."""
    seen: list[str] = []

    def visit(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.method} {request.url.host}")
        return httpx.Response(200)

    transport = httpx.MockTransport(visit)
    transport.seen = seen  # type: ignore[attr-defined]  # to be looked at
    return transport


@pytest.mark.parametrize(
    ("allowed", "visits"),
    [
        ([], []),
        (["other.example"], []),
        (["strange.example"], ["POST strange.example", "PUT strange.example"]),
        (["*"], ["POST strange.example", "PUT strange.example"]),
    ],
)
def test_results_go_only_to_hosts_that_are_allowed(
    allowed: list[str],
    visits: list[str],
    strange_host: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    options: dict[str, Any] = {"allow_hosts": allowed, "webhook_attempts": 1}
    with (
        caplog.at_level(logging.WARNING),
        Emulator(http_client=lambda: httpx.AsyncClient(transport=strange_host), **options) as it,
        Client(it) as client,
    ):
        client.send(
            upscale(
                PIXELS,
                webhookURL="https://strange.example/hook",
                uploadEndpoint="https://strange.example/put",
            )
        )
        client.receive()
        if visits:
            until(lambda: len(strange_host.seen) == 2)
        else:
            until(lambda: it.inspect(lambda service: len(service.history.webhooks_failed)) == 2)
    assert sorted(strange_host.seen) == visits
    assert ("allow" in caplog.text) == (not visits)


def test_results_go_to_this_machine(emulator: Emulator) -> None:
    with Receiver() as receiver, Client(emulator) as client:
        client.send(upscale(PIXELS, webhookURL=receiver.url))
        client.receive()
        assert receiver.got.get(timeout=TIMEOUT)
    assert get(emulator.http_url + "/openapi.json").status_code == 200
