"""Start, stop and look into the emulator, from asyncio, trio and plain threads."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from runware_ws.emulator import Emulator
from runware_ws.emulator.server.background import BackgroundServer, listen
from tests.emulator.bench import text_of, upscale
from tests.emulator.sockets import PIXELS, TIMEOUT, Client, post, until


def test_starting_and_stopping_is_quick() -> None:
    start = time.monotonic()
    with Emulator() as emulator, Client(emulator):
        pass
    assert time.monotonic() - start < 5


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


@pytest.mark.long
def test_stopping_does_not_wait_for_who_reads_nothing() -> None:
    noise = text_of(b"P6 1024 1024 255\n" + random.Random(1).randbytes(3 * 1024 * 1024))
    task = upscale(noise, outputType="base64Data", outputFormat="PNG")
    with Emulator() as emulator, Client(emulator, max_queue=1) as deaf:
        post(emulator, task)
        deaf.send(*({"taskType": "getTaskDetails", "taskUUID": task["taskUUID"]},) * 20)
        until(lambda: len(emulator.requests) >= 22)
        start = time.monotonic()
        emulator.stop()
        assert time.monotonic() - start < 5


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


class Unstartable(BackgroundServer):
    """A server that fails to start as long as there is an error."""

    error: Exception | None = LookupError("no bread")

    @asynccontextmanager
    async def _serving(self, listening: socket.socket) -> AsyncIterator[None]:
        if self.error is not None:
            raise self.error
        yield


def test_what_prevents_the_start_is_raised_and_leaves_nothing_behind() -> None:
    server = Unstartable("127.0.0.1", 0)
    with pytest.raises(LookupError, match="no bread"):
        server.start()
    server.error = None
    with server:
        pass


async def sends_at_once(listening: socket.socket) -> bool:
    """Accept a connection, and return True if its small writes are not held back."""
    accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda _, to: accepted.set_result(to), sock=listening)
    async with server:
        _, client = await asyncio.open_connection(*listening.getsockname())
        peer = await accepted
        option = peer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        client.close()
        peer.close()
    return bool(option)


def test_a_small_write_does_not_wait_for_the_acknowledgment_of_the_one_before() -> None:
    with listen("127.0.0.1", 0) as listening:
        assert asyncio.run(sends_at_once(listening))


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


def test_the_emulator_can_be_looked_into_from_its_own_worker_threads() -> None:
    def counting(content: bytes, *_: object) -> bytes:
        seen.append(sum(emulator.executions.values()))
        return content

    seen: list[int] = []
    with Emulator(upscaler=counting) as emulator, Client(emulator) as client:
        client.send(upscale(PIXELS))
        client.receive()
    assert seen == [1]


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
    assert "MissingExtraError: the emulator needs an extra" in outcome.stderr
    assert 'pip install "runware-ws[emulator]"' in outcome.stderr
