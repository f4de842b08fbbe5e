"""The raw connection of the doctor."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import pytest

from runware_ws import ProtocolError
from runware_ws.doctor.raw import open_raw
from runware_ws.protocol.secret import Secret
from runware_ws.transport import DisconnectedError, Target
from runware_ws.transport.websocket import WebSocket
from tests.support.clients import KEY
from tests.support.scripted import Connection, Script, ScriptedServer

pytestmark = pytest.mark.anyio

PING = {"taskType": "ping", "ping": True}


async def test_frames_come_as_they_are_with_their_size() -> None:
    async def script(connection: Connection) -> None:
        await connection.receive()
        await connection.send_raw('{"data":[{"taskUUID":"A"}],"errors":[{"code":"b"}]}')
        await connection.receive()

    with ScriptedServer(script) as server:
        async with open_raw(Target(server.url), Secret(KEY)) as line:
            await line.send(PING)
            frame = await line.receive()
    assert frame is not None
    assert frame.items == [{"taskUUID": "A"}]
    assert [one.code for one in frame.errors] == ["b"]
    assert frame.size == 51


async def test_nothing_comes_in_time() -> None:
    with ScriptedServer() as server:
        async with open_raw(Target(server.url), Secret(KEY)) as line:
            assert await line.receive(0.05) is None


async def test_a_large_frame_leaves_whole_before_the_line_is_cut() -> None:
    task = {"taskType": "upscale", "taskUUID": "a", "inputs": {"image": "A" * (8 * 2**20)}}
    with ScriptedServer() as server:
        async with open_raw(Target(server.url), Secret(KEY)) as line:
            await line.send(task)
            assert await line.receive() is not None
            await line.send({**task, "taskUUID": "b"})
            line.cut()
            with pytest.raises(DisconnectedError):
                await line.receive()
        assert server.tasks[0] == task


async def test_the_time_of_sending_is_one_at_which_not_all_had_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A result was counted from the look that found nothing unsent, up to 10 ms later."""
    moments: list[float] = []
    pieces_of = WebSocket.large_message

    def message(_: WebSocket, frame: bytes) -> Iterator[bytes]:
        for piece in pieces_of(frame):
            yield piece
            moments.append(monotonic())  # it was handed over

    monkeypatch.setattr(WebSocket, "large_message", message)
    with ScriptedServer() as server:
        async with open_raw(Target(server.url), Secret(KEY)) as line:
            sent = await line.send(PING)
    assert sent <= moments[-1]


def closing(code: int) -> Script:
    async def script(connection: Connection) -> None:
        await connection.send_raw('{"data":[]}')
        await connection.close(code, "enough")

    return script


@pytest.mark.parametrize(("code", "too_large"), [(1000, None), (1009, "sent")])
async def test_what_came_before_the_end_is_received_and_then_the_end_is_told(
    code: int, too_large: str | None
) -> None:
    with ScriptedServer(closing(code)) as server:
        async with open_raw(Target(server.url), Secret(KEY)) as line:
            assert await line.receive() is not None
            with pytest.raises(DisconnectedError) as caught:
                await line.receive()
            with pytest.raises(DisconnectedError):
                await line.send(PING)
    assert caught.value.too_large == too_large


async def test_a_frame_that_cannot_be_read_is_told() -> None:
    async def script(connection: Connection) -> None:
        await connection.send_raw("{")
        await connection.receive()

    with ScriptedServer(script) as server:
        async with open_raw(Target(server.url), Secret(KEY)) as line:
            with pytest.raises(ProtocolError):
                await line.receive()


async def test_the_key_is_hidden_in_what_comes() -> None:
    async def script(connection: Connection) -> None:
        await connection.send(errors=[{"code": "x", "message": f"no {KEY}"}])
        await connection.receive()

    with ScriptedServer(script) as server:
        async with open_raw(Target(server.url), Secret(KEY)) as line:
            frame = await line.receive()
    assert frame is not None
    assert frame.errors[0].message == "no (the key)"


async def test_a_refused_upgrade_is_told() -> None:
    with ScriptedServer(refusals=[503]) as server, pytest.raises(DisconnectedError, match="503"):
        async with open_raw(Target(server.url), Secret(KEY)):
            raise AssertionError


async def test_an_error_of_the_user_comes_through_as_it_is() -> None:
    with ScriptedServer() as server, pytest.raises(ZeroDivisionError):
        async with open_raw(Target(server.url), Secret(KEY)):
            raise ZeroDivisionError
