"""Search logs, reprs, warnings and tracebacks for the key: it is in none of them."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from runware_ws import RunwareClient, RunwareError
from runware_ws.protocol.secret import Secret
from runware_ws.protocol.wire import decode
from tests.support.answers import base64_of, error, result
from tests.support.clients import IMAGE, KEY, client_of, submitted
from tests.support.scripted import Connection, ScriptedServer, drops_a_task, silent

pytestmark = pytest.mark.anyio


@dataclass
class Output:
    """Everything that people could get to see."""

    log: list[str] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

    def see(self, *things: object) -> None:
        for thing in things:
            self.shown += [repr(thing), str(thing)]
            if isinstance(thing, BaseException):
                self.errors.append(thing)

    def text(self) -> str:
        return "\n".join(self.log + self.shown + [full_traceback(one) for one in self.errors])


def full_traceback(failure: BaseException) -> str:
    """As the most talkative of error reporters shows it: with all local variables."""
    shown = traceback.TracebackException.from_exception(failure, capture_locals=True)
    return "".join(shown.format())


class Everything(logging.Handler):
    """Takes every record of every logger, formatted and in its parts."""

    def __init__(self, output: Output) -> None:
        super().__init__(logging.DEBUG)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.log += [self.format(record), repr(record.args), repr(record.__dict__)]
        if record.exc_info and record.exc_info[1]:
            self._output.errors.append(record.exc_info[1])


@pytest.fixture
def output() -> Iterator[Output]:
    """All loggers at DEBUG, those of the libraries too."""
    seen = Output()
    handler = Everything(seen)
    root = logging.getLogger()
    names = [
        "",
        "asyncio",
        "runware_ws",
        "websockets",
        "websockets.client",
        "runware_ws.websockets",
    ]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield seen
    root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@asynccontextmanager
async def watched(
    output: Output, *scripts: Any, **options: Any
) -> AsyncIterator[tuple[ScriptedServer, RunwareClient]]:
    """A client whose every public object is looked at, before, during and after its life.

    The key is not among the local variables of this module's functions: `client_of` has it as a
    global, which no traceback shows.
    """
    with ScriptedServer(*scripts) as server:
        client = client_of(server, **options)
        output.see(client, client.stats(), vars(client))
        try:
            await client.connect()
        except RunwareError as failure:
            output.see(failure)
        output.see(client, client.stats(), client.state)
        yield server, client
        await client.aclose()
        output.see(client, client.stats(), *vars(client).values())


async def refuses_the_key(connection: Connection) -> None:
    await connection.receive()
    refusal = error("invalidApiKey", taskType="authentication", parameter="apiKey")
    await connection.send(errors=[refusal])
    await connection.receive()


async def fails_everything(connection: Connection) -> None:
    await connection.accept()
    while True:
        (task,) = await connection.take()
        await connection.send(errors=[error("invalidImage", task)])


async def speaks_nonsense(connection: Connection) -> None:
    await connection.receive()
    connection.write_raw(b"\xff\xff no WebSocket")
    await connection.receive()


async def sends_too_much(connection: Connection) -> None:
    await connection.accept()
    (task,) = await connection.take()
    await connection.send(result(task, imageBase64Data=base64_of(bytes(100_000))))
    await connection.serve()


async def garbles(connection: Connection) -> None:
    await connection.accept()
    await connection.take()
    await connection.send_raw("no JSON")
    await connection.serve()


SCRIPTS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "all is well": ([], {}),
    "the key is refused": ([refuses_the_key], {}),
    "tasks fail": ([fails_everything], {}),
    "the connection drops": ([drops_a_task], {}),
    "nonsense before the reply": ([speaks_nonsense], {}),
    "the answer is too large": ([sends_too_much], {"max_size": 50_000}),
    "the reply does not come": ([silent], {"timeout": 0.1}),
    "garbage": ([garbles], {}),
    "nobody can connect": ([speaks_nonsense] * 9, {"max_reconnect_time": 0}),
}


async def use(client: RunwareClient, output: Output) -> None:
    """Everything that a client does, with whatever comes of it shown."""
    calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [
        lambda: client.upscale(IMAGE),
        lambda: client.upscale(b"image", output_type="base64Data"),
        lambda: client.upscale("no image"),
        lambda: client.upscale(IMAGE, ttl=1),
        client.ping,
    ]
    for call in calls:
        try:
            output.see(await call())
        except RunwareError as failure:
            output.see(failure)


@pytest.mark.parametrize("case", SCRIPTS)
async def test_the_key_is_found_nowhere(
    case: str, output: Output, capfd: pytest.CaptureFixture[str]
) -> None:
    scripts, options = SCRIPTS[case]
    async with watched(output, *scripts, **options) as (server, client):
        await use(client, output)
        tasks = []
        try:
            tasks = await submitted(client, 1)
        except RunwareError as failure:
            output.see(failure)
        output.see(*tasks, client.session_uuid)
        assert any(KEY in str(frame) for frame in server.frames), "it was there to be found"
    assert KEY not in output.text()
    assert KEY not in "".join(capfd.readouterr())


async def test_a_client_that_crashes_does_not_show_the_key(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a bug in this package does."""

    def crash(*_: object) -> None:
        raise ZeroDivisionError

    async with watched(output) as (_, client):
        monkeypatch.setattr(client._opened().session.main, "receive", crash)
        with pytest.raises(RunwareError) as caught, anyio.fail_after(10):
            await client.upscale(IMAGE)
        output.see(caught.value)
        assert client.state == "closed"
    assert "ZeroDivisionError" in output.text(), "the bug itself is shown"
    assert KEY not in output.text()


WAY_OUT = [
    "runware_ws.protocol.send_queue.SendQueue.authentication",
    "runware_ws.protocol.send_queue.encode_tasks",
    "runware_ws.protocol.channel.Channel.next_frame",
    "runware_ws.protocol.channel.Channel.written",
    "runware_ws.runtime.connection.Connection._write_frame",
    "runware_ws.transport.websocket.WebSocket.message",
    "runware_ws.transport.websocket.apply_mask",
]


@pytest.mark.parametrize("function", WAY_OUT)
async def test_an_error_on_the_way_out_does_not_show_the_key(
    function: str, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*arguments: Any, **options: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(function, crash)
    with ScriptedServer() as server:
        client = client_of(server)
        with pytest.raises(RunwareError) as caught, anyio.fail_after(10):
            await client.connect()
        output.see(caught.value, client)
    assert "ZeroDivisionError" in output.text(), "the bug itself is shown"
    assert KEY not in output.text()


async def test_an_error_on_the_way_in_does_not_show_the_key_that_a_server_quotes(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def quotes(connection: Connection) -> None:
        await connection.accept()
        await connection.send({"quoted": KEY})
        await connection.serve()

    def crash(*arguments: Any, **options: Any) -> None:
        raise ZeroDivisionError

    with ScriptedServer(quotes) as server:
        async with client_of(server) as client:
            monkeypatch.setattr("runware_ws.protocol.channel.decode", crash)
            with pytest.raises(RunwareError) as caught, anyio.fail_after(10):
                await client.upscale(IMAGE)
            output.see(caught.value, client)
    assert "ZeroDivisionError" in output.text(), "the bug itself is shown"
    assert KEY not in output.text()


WRONG_SETTINGS: list[dict[str, Any]] = [
    {"api_key": KEY.encode()},
    {"api_key": [KEY]},
    {"api_key": KEY + "\udcff"},
    {"url": "https://example.com"},
    {"url": "ws://example.com/v1"},
    {"max_in_flight": 0},
]


@pytest.mark.parametrize("options", WRONG_SETTINGS, ids=lambda options: next(iter(options)))
def test_an_error_about_settings_does_not_show_the_key(options: dict[str, Any]) -> None:
    with pytest.raises(RunwareError) as caught:
        RunwareClient(**{"api_key": KEY, "url": "ws://127.0.0.1:1/v1", **options})
    # The frame of this test has the key in its own variables, and is not the package's.
    assert caught.value.__traceback__ is not None
    caught.value.__traceback__ = caught.value.__traceback__.tb_next
    assert KEY not in full_traceback(caught.value)


def test_a_client_cannot_be_pickled_or_encoded_with_its_key() -> None:
    client = RunwareClient(KEY, url="ws://127.0.0.1:1/v1")
    for encode in (pickle.dumps, json.dumps):
        with pytest.raises(TypeError):
            encode(client)
    assert KEY not in repr(vars(client))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_the_key_is_hidden_in_a_frame_of_any_encoding(encoding: str) -> None:
    item = {"taskUUID": "x", "imageURL": f"https://example.com/{KEY}"}
    answer = {"data": [item], "errors": [{"code": "x", "message": f"the key {KEY} is bad"}]}
    frame = json.dumps(answer).encode(encoding)
    assert KEY not in repr(decode(frame, Secret(KEY)))


def test_a_key_that_was_replaced_is_hidden_as_well() -> None:
    secret = Secret("an-older-key-0123")
    for number in range(3):
        secret.replace(f"a-newer-key-{number}")
    answer = {"errors": [{"code": "x", "message": "an-older-key-0123, a-newer-key-1 and -2"}]}
    hidden = repr(decode(json.dumps(answer).encode(), secret))
    assert "an-older-key-0123" not in hidden
    assert "a-newer-key-1" not in hidden
