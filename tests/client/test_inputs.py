"""Test images in every form that a caller may have them, read when it is their turn."""

from __future__ import annotations

import base64
import io
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from runware_ws import InputError, inputs
from runware_ws.emulator import Relay
from tests.support.answers import JPEG, base64_of, result
from tests.support.clients import IMAGE, client_of, served
from tests.support.scripted import Connection, Gate, Script, ScriptedServer

pytestmark = pytest.mark.anyio

KNOWN = "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"


def file_of(folder: Path, data: bytes) -> Path:
    path = folder / "photo.jpg"
    path.write_bytes(data)
    return path


def half_read(data: bytes) -> io.BytesIO:
    stream = io.BytesIO(b"header" + data)
    stream.read(6)
    return stream


def spooled(data: bytes) -> Any:
    stream = tempfile.SpooledTemporaryFile()  # noqa: SIM115  # the test closes it
    stream.write(data)
    stream.seek(0)
    return stream


class Pipe:
    """A stream that can only be read, once: no length, no position."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self) -> bytes:
        data, self.data = self.data, b""
        return data


BYTES_LIKE: dict[str, Callable[[Path, bytes], Any]] = {
    "Path": file_of,
    "bytes": lambda _, data: data,
    "bytearray": lambda _, data: bytearray(data),
    "memoryview": lambda _, data: memoryview(data),
    "memoryview of words": lambda _, data: memoryview(data[: len(data) // 4 * 4]).cast("I"),
    "memoryview with gaps": lambda _, data: memoryview(bytes(2 * len(data)))[::2],
    "BytesIO": lambda _, data: io.BytesIO(data),
    "a stream from where it stands": lambda _, data: half_read(data),
    "a spooled file": lambda _, data: spooled(data),
    "a pipe": lambda _, data: Pipe(data),
}


@pytest.mark.parametrize("size", [4, 5, 6, 300_000])
@pytest.mark.parametrize("form", BYTES_LIKE)
async def test_bytes_in_any_form_arrive_as_base64(form: str, size: int, tmp_path: Path) -> None:
    data = os.urandom(size)
    image = BYTES_LIKE[form](tmp_path, data)
    if isinstance(image, memoryview):
        data = image.tobytes()
    async with served() as (server, client):
        await client.upscale(image)
        sent = server.tasks[0]["inputs"]["image"]
        assert base64.b64decode(sent, validate=True) == data
    if hasattr(image, "close"):
        image.close()


async def test_an_open_file_is_read_and_left_open(tmp_path: Path) -> None:
    async with served() as (server, client):
        with file_of(tmp_path, JPEG).open("rb") as file:
            await client.upscale(file)
            assert not file.closed
        assert server.tasks[0]["inputs"] == {"image": base64_of(JPEG)}


@pytest.mark.parametrize(
    "text",
    [
        IMAGE,
        "HTTP://example.com:8080/a%20b?c=d&e=%22#f",
        KNOWN,
        KNOWN.upper(),
        "c7e6b1c8-2d0b-1e4a-9a7d-3f5b2c1d0e9f",  # an image's UUID need not be of version 4
        f"data:image/png;base64,{base64_of(JPEG)}",
        base64_of(bytes(range(256)) * 3),
    ],
)
async def test_a_string_that_the_service_knows_is_sent_as_it_is(text: str) -> None:
    async with served() as (server, client):
        await client.upscale(text)
        assert server.tasks[0]["inputs"] == {"image": text}


async def test_a_uuid_object_is_sent_as_text() -> None:
    async with served() as (server, client):
        await client.upscale(UUID(KNOWN))
        assert server.tasks[0]["inputs"] == {"image": KNOWN}


def closed_stream() -> io.BytesIO:
    stream = io.BytesIO(JPEG)
    stream.close()
    return stream


def released() -> memoryview:
    view = memoryview(b"abc")
    view.release()
    return view


class Texts:
    def read(self) -> str:
        return "text"


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    **{
        f"path {text}": (lambda _, text=text: text, r"pass Path\(")  # type: ignore[misc]  # a default binds the loop's value
        for text in ("photo.jpg", "./photo", "/tmp/photo.png", "C:\\photo.jpg", "photos/x", "photo")
    },
    "a path with a space": (lambda _: "my photo.jpg", r"pass Path\('my photo.jpg'\)"),
    "an empty string": (lambda _: "", "empty"),
    "white space": (lambda _: " \n", "empty"),
    "a data URI of text": (lambda _: "data:text/plain;base64,aGVsbG8=", "data URI"),
    "a data URI without base64": (lambda _: "data:image/png,abc", "data URI"),
    "an empty data URI": (lambda _: "data:image/png;base64,", "data URI"),
    "a file URL": (lambda _: "file:///etc/passwd", "http"),
    "base64 with line breaks": (lambda _: "\n".join(["QUJD" * 19] * 20), "whitespace"),
    "no bytes": (lambda _: b"", "empty"),
    "an empty bytearray": (lambda _: bytearray(), "empty"),
    "an empty memoryview": (lambda _: memoryview(b""), "empty"),
    "a released memoryview": (lambda _: released(), "memoryview"),
    "an empty stream": (lambda _: io.BytesIO(), "empty"),
    "an empty file": (lambda folder: file_of(folder, b""), "empty"),
    "a missing file": (lambda folder: folder / "missing.jpg", "missing.jpg"),
    "a folder": (lambda folder: folder, "not a file"),
    "a path with a null": (lambda _: Path("a\0b"), "cannot be read"),
    "a pure path": (lambda _: PurePosixPath("photo.jpg"), "PurePosixPath"),
    "a text stream": (lambda _: io.StringIO("text"), "binary"),
    "a text file": (
        lambda folder: file_of(folder, JPEG).open(encoding="latin-1"),
        "binary",
    ),
    "a stream that gives text": (lambda _: Texts(), "binary"),
    "a closed stream": (lambda _: closed_stream(), "closed"),
    "None": (lambda _: None, "NoneType"),
    "a number": (lambda _: 5, "int"),
    "a list": (lambda _: [b"abc"], "list"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_cannot_be_an_image_is_refused_before_anything_is_sent(
    what: str, tmp_path: Path
) -> None:
    make, words = REFUSED[what]
    image = make(tmp_path)
    async with served(max_in_flight=1) as (server, client):
        with pytest.raises(InputError, match=words) as caught:
            await client.submit(image)
        assert caught.value.parameter == "image"
        assert client.stats().submitted == 0
        await client.upscale(IMAGE)  # the room was given back
        assert len(server.tasks) == 1
    if hasattr(image, "close"):
        image.close()


async def test_a_file_that_cannot_be_read_is_refused_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    path = file_of(tmp_path, JPEG)
    async with served() as (_, client):
        monkeypatch.setattr(inputs, "_without_waiting", refuse)  # the tests may run as root
        with pytest.raises(InputError, match=r"photo\.jpg.*Permission denied"):
            await client.submit(path)


def holding(first: Gate) -> Script:
    """A script that holds the first task's result back until the gate opens."""

    async def script(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await first.wait()
        await connection.send(result(task))
        await connection.serve()

    return script


async def test_a_file_is_read_only_when_its_task_is_admitted(tmp_path: Path) -> None:
    gate = Gate()
    path = file_of(tmp_path, b"as it is when it is handed in")
    async with served(holding(gate), max_in_flight=1) as (server, client):
        await client.submit(IMAGE)
        async with anyio.create_task_group() as group:
            group.start_soon(client.upscale, path)
            await anyio.wait_all_tasks_blocked()
            assert client.stats().waiting == 1
            path.write_bytes(JPEG)
            gate.open()
        assert server.tasks[1]["inputs"] == {"image": base64_of(JPEG)}


@pytest.mark.parametrize("change", [-1, 1, 100_000, 500_000])
async def test_a_file_may_change_its_length_while_it_waits(change: int, tmp_path: Path) -> None:
    gate = Gate()
    path = file_of(tmp_path, bytes(100_000))
    now = os.urandom(100_000 + change)
    async with served(holding(gate), max_in_flight=1) as (server, client):
        await client.submit(IMAGE)
        async with anyio.create_task_group() as group:
            group.start_soon(client.upscale, path)
            await anyio.wait_all_tasks_blocked()
            path.write_bytes(now)
            gate.open()
        assert server.tasks[1]["inputs"] == {"image": base64_of(now)}


def can_tell_what_is_in_memory(path: Path) -> bool:
    if sys.platform != "linux" or not hasattr(os, "RWF_NOWAIT"):
        return False
    with path.open("rb", buffering=0) as file:
        try:
            return os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT) == 1
        except (OSError, NotImplementedError):
            return False


async def test_small_images_need_no_thread(tmp_path: Path) -> None:
    path = file_of(tmp_path, JPEG)
    if not can_tell_what_is_in_memory(path):
        pytest.skip("this system, or its file system, cannot tell what is in memory")
    threads = anyio.to_thread.current_default_thread_limiter()
    busy = [object() for _ in range(int(threads.available_tokens))]
    for one in busy:
        threads.acquire_on_behalf_of_nowait(one)

    async with served(timeout=5) as (_, client):
        for image in (JPEG, path):
            upscaled = await client.upscale(image, output_type="base64Data")
            with anyio.fail_after(5):
                assert (await upscaled.read()) == upscaled.data


async def test_a_small_file_is_read_where_the_system_cannot_tell_what_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "RWF_NOWAIT", raising=False)
    async with served() as (server, client):
        await client.upscale(file_of(tmp_path, JPEG))
        assert server.tasks[0]["inputs"] == {"image": base64_of(JPEG)}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
async def test_what_became_a_pipe_while_it_waited_does_not_hold_up_the_loop(tmp_path: Path) -> None:
    gate = Gate()
    path = file_of(tmp_path, JPEG)

    async def upscale() -> None:
        with pytest.raises(InputError, match="is not a file"):
            await client.upscale(path)

    async with served(holding(gate), max_in_flight=1) as (_, client):
        await client.submit(IMAGE)
        async with anyio.create_task_group() as group:
            group.start_soon(upscale)
            await anyio.wait_all_tasks_blocked()
            path.unlink()
            os.mkfifo(path)
            gate.open()


@pytest.mark.parametrize("size", [10_000, 500_000])
async def test_a_cancelled_caller_sends_no_file(size: int, tmp_path: Path) -> None:
    async with served() as (server, client):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await client.submit(file_of(tmp_path, bytes(size)))
        assert scope.cancelled_caught
        await client.ping()
        assert not server.tasks


async def test_a_stream_is_read_only_when_its_task_is_admitted() -> None:
    gate = Gate()
    stream = io.BytesIO(JPEG)
    async with served(holding(gate), max_in_flight=1) as (server, client):
        await client.submit(IMAGE)
        async with anyio.create_task_group() as group:
            group.start_soon(client.upscale, stream)
            await anyio.wait_all_tasks_blocked()
            assert stream.tell() == 0
            gate.open()
        assert stream.tell() == len(JPEG)
        assert len(server.tasks) == 2


async def test_the_bytes_under_way_are_bounded_and_of_larger_ones_there_is_one() -> None:
    gate = Gate()
    async with served(holding(gate), max_in_flight_bytes=10_000) as (server, client):
        await client.submit(bytes(6_000))
        async with anyio.create_task_group() as group:
            group.start_soon(client.upscale, bytes(6_000))
            group.start_soon(client.upscale, bytes(60_000))
            group.start_soon(client.upscale, bytes(60_000))
            await anyio.wait_all_tasks_blocked()
            await server.until(lambda: len(server.tasks) == 2)
            assert client.stats().waiting == 2, "one of each size"
            gate.open()
        assert len(server.executed) == 3
        assert client.stats().waiting == 0


async def test_large_inputs_wait_unread_until_those_before_them_are_being_sent() -> None:
    with ScriptedServer() as server, Relay(server.url) as relay:
        async with client_of(server, url=relay.url) as client:
            relay.refuse()
            relay.cut()
            while client.state == "connected":
                await anyio.lowlevel.checkpoint()
            async with anyio.create_task_group() as group:
                for _ in range(6):
                    group.start_soon(client.upscale, io.BytesIO(bytes(2**20)))
                await anyio.wait_all_tasks_blocked()
                assert client.stats().waiting == 5
                relay.resume()
        assert len(server.executed) == 6


async def test_large_inputs_that_were_sent_hold_up_no_others() -> None:
    gate = Gate()
    async with served(holding(gate)) as (server, client), anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(client.upscale, bytes(2**20))
        await server.until(lambda: len(server.tasks) == 6)
        gate.open()


async def test_a_file_that_vanishes_while_it_waits_is_an_input_error(tmp_path: Path) -> None:
    gate = Gate()
    path = file_of(tmp_path, JPEG)
    async with served(holding(gate), max_in_flight=1) as (_, client):
        await client.submit(IMAGE)
        failures: list[Exception] = []

        async def submit() -> None:
            try:
                await client.submit(path)
            except InputError as error:
                failures.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(submit)
            await anyio.wait_all_tasks_blocked()
            path.unlink()
            gate.open()
        assert "cannot be read" in str(failures[0])
        await client.upscale(IMAGE)
