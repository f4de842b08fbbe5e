"""Test a faulty service, and other servers in its place: one fault harms one task at most."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from runware_ws import (
    AuthenticationError,
    ProtocolError,
    RunwareClient,
    TaskError,
    TaskTimeoutError,
    UpscaleResult,
)
from tests.support.answers import error, result
from tests.support.clients import IMAGE, KEY, QUICK, client_of, outcome_of, served
from tests.support.scripted import Connection, ScriptedServer, drops_a_task

pytestmark = pytest.mark.anyio


@contextmanager
def plain_server(**options: Any) -> Iterator[str]:
    """A server as the library makes it, which knows just enough to give results."""

    async def answers(socket: ServerConnection) -> None:
        async for frame in socket:
            for task in json.loads(frame):
                item = {"taskType": "authentication", "connectionSessionUUID": "a session"}
                if task["taskType"] != "authentication":
                    item = result(task)
                await socket.send(json.dumps({"data": [item]}))

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(_listen(answers, options), loop).result()
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        asyncio.run_coroutine_threadsafe(server.wait_closed(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _listen(handler: Callable[[ServerConnection], Any], options: dict[str, Any]) -> Any:
    return await serve(handler, "127.0.0.1", 0, **options)


async def test_an_upload_that_is_too_large_for_the_server_fails_alone() -> None:
    with plain_server(max_size=1_000_000) as url:
        async with RunwareClient(KEY, url=url) as client:
            large = await client.submit(bytes(2_000_000))
            assert isinstance(await outcome_of(large), ProtocolError)
            await client.upscale(IMAGE)


async def test_a_redirect_is_not_followed() -> None:
    seen: list[str] = []

    def redirects(_: ServerConnection, request: Request) -> Response | None:
        seen.append(request.path)
        if request.path != "/":
            return None
        response = Response(302, "Found", type(request.headers)())
        response.headers["Location"] = "/elsewhere"
        return response

    with plain_server(process_request=redirects) as url:
        async with RunwareClient(KEY, url=url) as client:
            with pytest.raises(TaskTimeoutError):
                await client.upscale(IMAGE, timeout=0.5)
    assert set(seen) == {"/"}


@pytest.mark.parametrize("code", [1008, 1011, 4001])
async def test_a_session_that_is_refused_by_hanging_up_is_let_go(code: int) -> None:
    async def hangs_up(connection: Connection) -> None:
        await connection.receive()
        await connection.close(code)

    async with served(drops_a_task, hangs_up, hangs_up) as (server, client):
        assert isinstance(await outcome_of(await client.submit(IMAGE)), UpscaleResult)
        named = [
            json.loads(frame)[0].get("connectionSessionUUID")
            for frame in server.frames
            if "authentication" in frame
        ]
        assert named[0] is None
        assert None in named[1:4]


@pytest.mark.parametrize("code", ["inferenceError", "conflictTaskUUID", "oldTroubles"])
async def test_an_error_that_is_left_over_does_not_refuse_the_key(code: str) -> None:
    async def stray(connection: Connection) -> None:
        (authentication,) = await connection.receive()
        await connection.send(errors=[error(code)])
        await connection.send({"taskType": "authentication", "connectionSessionUUID": "one"})
        assert authentication["taskType"] == "authentication"
        await connection.serve()

    async with served(stray) as (server, client):
        await client.upscale(IMAGE)
        assert len(server.connections) == 1


@pytest.mark.parametrize("code", ["rateLimitExceeded", "internalServerError"])
@pytest.mark.parametrize("members", [{"taskType": "getResponse"}, {}])
async def test_trouble_with_a_question_is_no_failure_of_its_task(
    code: str, members: dict[str, str]
) -> None:
    async def troubled(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send({"taskType": "upscale", "taskUUID": task["taskUUID"]})
        (question,) = await connection.take(1, "getResponse")
        trouble = {"code": code, "message": "", "taskUUID": question["taskUUID"], **members}
        await connection.send(errors=[trouble])
        again = "getResponse" if members else "getTaskDetails"
        (question,) = await connection.take(1, again)
        await connection.send(result(question))
        await connection.serve()

    hasty = replace(QUICK, answer_timeout=0.2)  # the other way of asking gets no answer
    async with served(troubled, timing=hasty) as (server, client):
        task = await client.submit(IMAGE, delivery_method="async")
        upscaled = await outcome_of(task)
        assert isinstance(upscaled, UpscaleResult)
        assert upscaled.attempts == 1
        assert len(server.of_kind("upscale")) == 1


async def test_trouble_that_is_told_to_nobody_runs_nothing_twice() -> None:
    async def maintenance(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(errors=[{"code": "serviceUnavailable", "message": "soon"}])
        (question,) = await connection.take(1, "getResponse")
        await connection.send(result(question))
        assert task["taskUUID"] == question["taskUUID"]
        await connection.serve()

    async with served(maintenance) as (server, client):
        assert (await client.upscale(IMAGE)).attempts == 1
        assert len(server.of_kind("upscale")) == 1


@pytest.mark.parametrize("response", [{"data": 5}, {"errors": True}, {"data": [3]}])
async def test_details_that_make_no_sense_end_nothing(response: Any) -> None:
    async def odd(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        details = {"taskType": "getTaskDetails", "taskUUID": task["taskUUID"]}
        await connection.send({**details, "response": response})
        await connection.send(result(task))
        await connection.serve()

    async with served(odd) as (_, client):
        await client.upscale(IMAGE)
        await client.upscale(IMAGE)


def escaped(text: str) -> str:
    """Return a text as JSON may have it too."""
    return "".join(f"\\u{ord(character):04x}" for character in text)


@pytest.mark.parametrize("quoted", [KEY, escaped(KEY), KEY[:5] + escaped(KEY[5:])])
@pytest.mark.parametrize("size", [0, 100_000, 5_000_000])
async def test_a_key_is_not_shown_however_the_server_quotes_it(quoted: str, size: int) -> None:
    async def quotes(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        members = f'"code":"invalidX","taskUUID":"{task["taskUUID"]}","filler":"{"x" * size}"'
        wrong = f'"message":"{quoted}","parameter":["{quoted}"],"{quoted}":{{"deep":["{quoted}"]}}'
        await connection.send_raw(f'{{"errors":[{{{members},{wrong}}}]}}')
        await connection.serve()

    async with served(quotes) as (_, client):
        failure = await outcome_of(await client.submit(IMAGE))
    assert isinstance(failure, TaskError)
    assert str(failure).count("(the key)") == 2
    assert KEY not in f"{failure} {failure!r} {failure.raw}"


CONTROLS = "\n\r\x1b[2J\x9b\u2028\u202e\x00 ERROR forged"


async def test_words_of_the_server_are_shown_on_one_line_and_command_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def talks(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        members = {"message": CONTROLS, "parameter": CONTROLS}
        await connection.send(errors=[error(f"invalid{CONTROLS}", task, **members)])
        await connection.close(1008, CONTROLS)

    async def refuses(connection: Connection) -> None:
        await connection.receive()
        refusal = error("invalidApiKey", message=CONTROLS, taskType="authentication")
        await connection.send(errors=[refusal])
        await connection.receive()

    with caplog.at_level("INFO"):
        async with served(talks) as (server, client):
            failure = await outcome_of(await client.submit(IMAGE))
            await server.until(lambda: len(server.connections) == 2)
        with ScriptedServer(refuses) as server, pytest.raises(AuthenticationError) as refused:
            await client_of(server).connect()
    shown = [str(failure), str(refused.value), *(one.getMessage() for one in caplog.records)]
    assert sum("forged" in one for one in shown) >= 4
    assert all(one.isprintable() for one in shown)


async def test_a_key_that_the_server_quotes_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    async def quotes(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(errors=[error("invalidImage", task, message=f"not with {KEY}")])
        await connection.close(1008, f"bye, {KEY}")

    async with served(quotes) as (_, client):
        failure = await outcome_of(await client.submit(IMAGE))
        await client.upscale(IMAGE)
    assert "(the key)" in str(failure)
    assert KEY not in f"{failure!r} {vars(failure)} {caplog.text}"
