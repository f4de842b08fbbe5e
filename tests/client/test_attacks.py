"""Servers that mean harm, on plain sockets: the client gets over each, and its task is done."""

from __future__ import annotations

import gc
import json
import socket
import struct
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from runware_ws import (
    ConnectionLostError,
    ProtocolError,
    RunwareClient,
    TaskTimeoutError,
)
from runware_ws.protocol.wire import decode
from runware_ws.runtime.connection import Connection
from runware_ws.transport import WebSocket
from tests.support.clients import IMAGE, KEY, outcome_of
from tests.support.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    Attack,
    Peer,
    RawServer,
    frame,
)

pytestmark = [pytest.mark.anyio, pytest.mark.long]

HASTY: dict[str, Any] = {
    "connect_timeout": 0.5,
    "auth_timeout": 0.5,
    "keepalive": 0.3,
    "ping_timeout": 0.3,
    "doubt_window": 0.1,
    "max_size": 1_000_000,
}
MEBIBYTE = 1024 * 1024


# In place of the handshake.

ANSWERS: dict[str, bytes] = {
    "nothing": b"",
    "noise": bytes(range(256)) * 100,
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "TLS": b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03",
    "HTTP 400": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "HTTP 200": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP 503": b"HTTP/1.1 503 Later\r\nRetry-After: 99999999\r\nContent-Length: 0\r\n\r\n",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "half an answer": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webs",
    "no upgrade": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "a bad status": b"HTTP/1.1 9999999999999 ?\r\n\r\n",
    "an endless line": b"HTTP/1.1 101 " + b"A" * 2_000_000,
    "endless headers": b"HTTP/1.1 101 Yes\r\n" + b"A: b\r\n" * 100_000,
    "an endless body": b"HTTP/1.1 401 No\r\nContent-Length: 999999999999\r\n\r\n"
    + b"A" * 3_000_000,
    "chunks": b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
}


def answering(answer: bytes) -> Attack:
    def attack(peer: Peer) -> None:
        peer.request()
        peer.send(answer)

    return attack


def is_silent(peer: Peer) -> None:
    peer.hold()


def resets(peer: Peer) -> None:
    peer.request()
    reset(peer)


def reset(peer: Peer) -> None:
    """Have the connection end by a reset."""
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def answers_slowly(peer: Peer) -> None:
    peer.request()
    for _ in range(1000):
        peer.send(b"H")
        time.sleep(0.05)


def accepts_another_key(peer: Peer) -> None:
    peer.open(accept=b"AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    peer.hold()


def compresses_unasked(peer: Peer) -> None:
    peer.open("Sec-WebSocket-Extensions: permessage-deflate")
    peer.hold()


def speaks_a_subprotocol(peer: Peer) -> None:
    peer.open("Sec-WebSocket-Protocol: graphql-ws")
    peer.hold()


HANDSHAKES = (
    is_silent,
    resets,
    answers_slowly,
    accepts_another_key,
    compresses_unasked,
    speaks_a_subprotocol,
)

# In an open connection, in place of a result.

FRAMES: dict[str, bytes] = {
    "a masked frame": b"\x81\x81\x00\x00\x00\x00x",
    "reserved bits": frame(b"{}", bits=0x40),
    "an unknown opcode": frame(b"{}", 5),
    "an unknown control opcode": frame(b"", 11),
    "a length of 2 to the 63, over the limit": frame(b"{}", length=2**63),
    "a length over the limit": frame(b"{}", length=1_000_001),
    "fragments over the limit": frame(bytes(600_000), fin=False)
    + frame(bytes(600_000), CONTINUATION),
    "a large ping": frame(bytes(126), PING),
    "a ping in fragments": frame(b"", PING, fin=False),
    "a continuation of nothing": frame(b"{}", CONTINUATION),
    "a message within a message": frame(b"{", fin=False) + frame(b"{}"),
    "a close within a message": frame(b"{", fin=False) + frame(b"", CLOSE),
    "a close of one byte": frame(b"\x03", CLOSE),
    "a close code of 0": frame(struct.pack("!H", 0), CLOSE),
    "a close code of 1005": frame(struct.pack("!H", 1005), CLOSE),
    "a close code of 65535": frame(struct.pack("!H", 65535), CLOSE),
    "a close reason that is no text": frame(struct.pack("!H", 1000) + b"\xff\xfe", CLOSE),
    "frames after a close": frame(struct.pack("!H", 1000), CLOSE) + frame(b"{}") * 1000,
    "half a frame": frame(b'{"data":[', length=1000),
    "half a header": b"\x81\x7f\x00",
    # The connection survives these.
    "no text": frame(b"\xff\xfe\xfd"),
    "no JSON": frame(b"no JSON"),
    "half of JSON": frame(b'{"data":[{"taskUUID":"'),
    "nothing": frame(b""),
    "zeros": frame(bytes(1000), BINARY),
    "a byte order mark": frame(b'\xef\xbb\xbf{"data":[]}'),
    "deep lists": frame(b"[" * 400_000),
    "deep objects": frame(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "many objects": frame(b'{"data":[' + b"{}," * 250_000 + b"{}]}"),
    "many errors": frame(b'{"errors":[' + b"{}," * 250_000 + b"{}]}"),
    "a long number": frame(b'{"data":[' + b"1" * 500_000 + b"]}"),
    "no numbers": frame(b'{"data":[NaN,Infinity,-Infinity]}'),
    "half a character": frame(b'{"errors":[{"code":"\\ud800","message":"\\udfff"}]}'),
    "scalars": frame(b'{"data":[1,"a",null,true,[]],"errors":[1,null,[]]}'),
    "wrong kinds": frame(b'{"data":{"taskUUID":{"a":1},"taskType":[1]},"errors":7}'),
    "a name for every member": frame(b'{"data":[{"taskUUID":5,"cost":"x","imageURL":[]}]}'),
    "a session for nobody": frame(
        b'{"data":[{"taskType":"authentication","connectionSessionUUID":7}]}'
    ),
    "a pong for nobody": frame(b'{"data":[{"taskType":"ping","pong":true}]}') * 100,
    "empty fragments": frame(b"", fin=False) + frame(b"", CONTINUATION, fin=False) * 20_000,
    "many pings": frame(b"ping", PING) * 20_000,
}
HARMLESS = list(FRAMES)[list(FRAMES).index("no text") :]


def sending(data: bytes, *, goes_on: bool) -> Attack:
    def attack(peer: Peer) -> None:
        peer.accept()
        tasks = peer.tasks()
        peer.send(data)
        if goes_on:
            for task in tasks:
                peer.answer(result_of(task))
            peer.serve()

    return attack


def result_of(task: dict[str, Any]) -> dict[str, Any]:
    return {"taskUUID": task["taskUUID"], "imageURL": "https://example.com/a.jpg"}


def goes_silent_within_a_frame(peer: Peer) -> None:
    peer.accept()
    peer.tasks()
    peer.send(frame(b'{"data":[', length=1000))
    peer.hold()


def keeps_the_line_after_a_close(peer: Peer) -> None:
    peer.accept()
    peer.tasks()
    peer.send(frame(struct.pack("!H", 1001), CLOSE))
    peer.hold()


def names_no_session(peer: Peer) -> None:
    peer.open()
    peer.tasks()
    peer.answer({"taskType": "authentication"})
    peer.hold()


def never_authenticates(peer: Peer) -> None:
    peer.open()
    peer.hold()


STORIES = (
    goes_silent_within_a_frame,
    keeps_the_line_after_a_close,
    names_no_session,
    never_authenticates,
)

ATTACKS = {
    **{f"handshake: {name}": answering(answer) for name, answer in ANSWERS.items()},
    **{attack.__name__: attack for attack in (*HANDSHAKES, *STORIES)},
    **{name: sending(data, goes_on=name in HARMLESS) for name, data in FRAMES.items()},
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_the_client_gets_over_an_attack(name: str) -> None:
    with RawServer(ATTACKS[name]) as server, anyio.fail_after(20):
        async with RunwareClient(KEY, url=server.url, **HASTY) as client:
            await outcome_of(await client.submit(IMAGE))
            await client.upscale(IMAGE)
            assert client.stats().succeeded == (1 if "the limit" in name else 2)


@contextmanager
def little_memory(limit: int) -> Iterator[None]:
    """Fail if Python takes more than so many bytes meanwhile."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < limit


@pytest.mark.parametrize("data", [b"", b"x"])
def test_tiny_fragments_take_no_more_memory_than_their_bytes(data: bytes) -> None:
    websocket = open_websocket()
    many = frame(data, CONTINUATION, fin=False) * 1000
    websocket.receive(frame(b"", fin=False))
    websocket.receive(many)
    with little_memory(MEBIBYTE // 2):
        for _ in range(9):
            assert websocket.receive(many) == []
    assert websocket.receive(frame(b"", CONTINUATION)) == [data * 10_000]


def open_websocket() -> WebSocket:
    """Return the client's side of a connection that is open."""
    websocket = WebSocket("ws://127.0.0.1/", 10 * MEBIBYTE)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(websocket.handshake())
        Peer(theirs).open()
        while not websocket.is_open:
            websocket.receive(ours.recv(65536))
    return websocket


@pytest.mark.parametrize("flood", [b"{}", b"[]", b"1", b'""', b"[[[[]]]]", b'{"a":1}'])
def test_a_frame_of_nothing_but_values_is_not_unfolded(flood: bytes) -> None:
    data = b'{"data":[' + (flood + b",") * (4 * MEBIBYTE // (len(flood) + 1)) + b"1]}"
    with little_memory(MEBIBYTE), pytest.raises(ProtocolError, match="too many values"):
        decode(data)


@pytest.mark.parametrize("member", ["imageBase64Data", "mediaBase64Data", "imageDataURI"])
@pytest.mark.parametrize("after", [True, False])
def test_a_flood_beside_images_is_not_unfolded(member: str, after: bool) -> None:
    head = "data:image/png;base64," if member == "imageDataURI" else ""
    image = f'{{"{member}":"{head}{"," * MEBIBYTE}"}}'.encode()
    flood = b"[]," * MEBIBYTE
    values = image + b"," + flood if after else flood + image + b","
    data = b'{"data":[' + values + b"1]}"
    with little_memory(MEBIBYTE), pytest.raises(ProtocolError, match="too many values"):
        decode(data)
    assert len(decode(b'{"data":[' + image + b"," + image + b"]}")[0]) == 2


@pytest.mark.parametrize("count", [1, 1000, 8000])
def test_a_frame_of_many_results_is_read(count: int) -> None:
    uuid = "32774e2f-e05b-4a47-a34f-4e1eeba03822"
    item = {"taskType": "upscale", "taskUUID": uuid, "imageUUID": uuid, "imageURL": "https://x/y"}
    items, errors = decode(json.dumps({"data": [item] * count}).encode())
    assert (len(items), errors) == (count, [])


async def test_pings_of_a_server_that_does_not_read_do_not_pile_up() -> None:
    def floods(peer: Peer) -> None:
        peer.accept()
        tasks = peer.tasks()
        for _ in range(30):
            peer.send(frame(bytes(125), PING) * 1000)
        for task in tasks:
            peer.answer(result_of(task))
        peer.hold()

    with RawServer(floods) as server, anyio.fail_after(40):
        async with RunwareClient(KEY, url=server.url) as client:
            await client.upscale(IMAGE)
            (connection,) = client._opened().driver._connections
            assert connection._stream is not None
            waiting = connection._stream.unsent_bytes + len(connection._replies)
            assert waiting < 1_500_000


async def test_a_ping_during_an_upload_is_answered_after_it() -> None:
    opcodes: list[int] = []

    def pings(peer: Peer) -> None:
        peer.accept()
        peer.socket.recv(1, socket.MSG_PEEK)  # the upload has begun
        peer.send(frame(b"?", PING))
        (task,) = peer.tasks()
        opcodes.append(peer.opcode())
        peer.answer(result_of(task))
        peer.hold()

    with RawServer(pings) as server, anyio.fail_after(30):
        async with RunwareClient(KEY, url=server.url) as client:
            await client.upscale(bytes(8 * MEBIBYTE))
    assert opcodes == [PONG]


async def test_what_a_dead_connection_left_is_let_go_at_once() -> None:
    """Also before the garbage collector comes by."""

    def dies_within_a_frame(peer: Peer) -> None:
        peer.accept()
        peer.tasks()
        peer.send(frame(bytes(20 * MEBIBYTE), fin=False))
        peer.send(frame(bytes(20 * MEBIBYTE), CONTINUATION, length=30 * MEBIBYTE))

    with RawServer(dies_within_a_frame) as server, anyio.fail_after(30):
        async with RunwareClient(KEY, url=server.url, doubt_window=0.1) as client:
            gc.collect()
            gc.disable()
            tracemalloc.start()
            try:
                await client.upscale(IMAGE)
                held, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
                gc.enable()
    assert peak > 20 * MEBIBYTE
    assert held < 10 * MEBIBYTE


def resets_later(peer: Peer) -> None:
    peer.accept()
    peer.tasks()
    reset(peer)


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        (resets, "ConnectionResetError"),
        (resets_later, "ConnectionResetError"),
        (answering(ANSWERS["HTTP 400"]), "HTTP 400"),
    ],
)
async def test_a_loss_names_its_reason(
    attack: Attack, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Also on trio, whose tasks come together in a group."""
    with RawServer(attack) as server, caplog.at_level("WARNING"):
        async with RunwareClient(KEY, url=server.url, **HASTY) as client:
            await client.upscale(IMAGE)
    assert reason in caplog.text
    assert "Group" not in caplog.text


async def test_an_address_that_refuses_is_named_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    client = RunwareClient(KEY, url=f"ws://localhost:{port}", max_reconnect_time=0.0)
    with pytest.raises(ConnectionLostError, match="ConnectionRefusedError"):
        await client.connect()


@pytest.mark.parametrize("error", [ZeroDivisionError("bug"), OSError("odd")])
async def test_an_error_in_a_task_of_a_connection_names_itself(
    error: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: Any) -> None:
        raise ExceptionGroup("of a nursery", [ExceptionGroup("of another", [error])])

    with RawServer() as server, caplog.at_level("WARNING"):
        async with RunwareClient(KEY, url=server.url, **HASTY) as client:
            monkeypatch.setattr(Connection, "_run", fails)
            drop_all(client)
            with pytest.raises(TaskTimeoutError):
                await client.upscale(IMAGE, timeout=0.2)
    assert f"{type(error).__name__}: {error}" in caplog.text


def drop_all(client: RunwareClient) -> None:
    """Have the client lose its connections."""
    for connection in client._opened().driver._connections:
        assert connection._stream is not None
        connection._stream.abort()
