"""Whole messages go past the websockets library: what comes out is the same as if they did not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from runware_ws.transport import WebSocket

URL = "ws://127.0.0.1/v1"
MAX_SIZE = 70_000  # over the sizes at which a header grows


def frame(opcode: Opcode, data: bytes, *, fin: bool = True, masked: bool = False) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=masked)


def head_alone(size: int) -> bytes:
    return b"\x81\x7f" + size.to_bytes(8)


def long_frame(first: int, size: int, *, masked: bool) -> bytes:
    """Return a frame of any kind whose size takes two bytes, with other frames in its payload."""
    data = (frame(Opcode.TEXT, b"inside") * 50)[:size]
    return bytes((first, 126 | masked << 7)) + size.to_bytes(2) + bytes(4 * masked) + data


SIZES = st.sampled_from([0, 1, 125, 126, 127, 300, 65_535, 65_536, MAX_SIZE, MAX_SIZE + 1])
PAYLOADS = st.one_of(st.binary(max_size=20), SIZES.map(lambda size: b"x" * size))
WHOLE = st.builds(frame, st.sampled_from([Opcode.TEXT, Opcode.BINARY]), PAYLOADS)
FRAGMENTS = st.lists(st.binary(max_size=5), min_size=2, max_size=4).map(
    lambda parts: b"".join(
        frame(Opcode.CONT if index else Opcode.TEXT, part, fin=index == len(parts) - 1)
        for index, part in enumerate(parts)
    )
)
PINGS = st.builds(frame, st.just(Opcode.PING), st.binary(max_size=5))
UNUSUAL = st.one_of(
    st.builds(frame, st.just(Opcode.TEXT), PAYLOADS, masked=st.just(True)),
    st.builds(frame, st.just(Opcode.TEXT), st.binary(max_size=5), fin=st.just(False)),
    st.builds(frame, st.just(Opcode.CONT), st.binary(max_size=5)),
    st.just(frame(Opcode.CLOSE, (1000).to_bytes(2))),
    st.builds(head_alone, st.integers(0, 2**63)),
    st.builds(
        long_frame,
        st.sampled_from([0x00, 0x80, 0x89, 0x8A, 0x88, 0xC1, 0xA2, 0x91, 0x83, 0x8F]),
        st.integers(0, 400),
        masked=st.booleans(),
    ),
    st.binary(min_size=1, max_size=8),
)
STREAMS = st.lists(st.one_of(WHOLE, WHOLE, FRAGMENTS, PINGS, UNUSUAL), max_size=8).map(b"".join)


def accepted(request: bytes) -> bytes:
    """Return a server's answer to the handshake."""
    server = ServerProtocol()
    server.receive_data(request)
    (event,) = server.events_received()
    server.send_response(server.accept(event))  # type: ignore[arg-type]
    return b"".join(server.data_to_send())


def pieces_of(stream: bytes, cuts: Sequence[int]) -> list[bytes]:
    at = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[start:end] for start, end in pairwise(at)]


@given(STREAMS, st.lists(st.integers(0, 2**20), max_size=12))
@example(frame(Opcode.TEXT, b"in one read with the handshake"), [])
@example(long_frame(0xC1, 300, masked=False), [])
@example(long_frame(0x89, 130, masked=False), [])
def test_messages_are_those_that_the_library_would_read(stream: bytes, cuts: Sequence[int]) -> None:
    ours = WebSocket(URL, MAX_SIZE)
    data = accepted(ours.handshake()) + stream
    theirs = ClientProtocol(parse_uri(URL), max_size=MAX_SIZE)
    theirs.send_request(theirs.connect())
    theirs.data_to_send()
    theirs.key = ours._protocol.key  # so that the server's answer is right for both
    expected: list[bytes] = []
    got: list[bytes] = []
    parts: list[bytes] = []
    for piece in pieces_of(data, cuts):
        got += map(bytes, ours.receive(piece))
        theirs.receive_data(piece)
        for event in theirs.events_received():
            if isinstance(event, Frame) and event.opcode in DATA_OPCODES:
                parts.append(bytes(event.data))
                if event.fin:
                    expected.append(b"".join(parts))
                    parts.clear()
        assert got == expected
        # The mask of a control frame is random, its length is not.
        assert len(ours.replies()) == len(b"".join(theirs.data_to_send()))
        assert ours.is_open == (theirs.state.name == "OPEN")


@given(SIZES)
def test_a_server_reads_what_is_written(size: int) -> None:
    websocket = WebSocket(URL, MAX_SIZE)
    server = ServerProtocol(max_size=None)
    server.receive_data(websocket.handshake())
    (request,) = server.events_received()
    server.send_response(server.accept(request))  # type: ignore[arg-type]
    server.data_to_send()
    data = b"y" * size
    for pieces in ([websocket.message(data)], websocket.large_message(data * 3)):
        for piece in pieces:
            server.receive_data(piece)
        (event,) = server.events_received()
        assert event == Frame(Opcode.TEXT, data)
        data *= 3
