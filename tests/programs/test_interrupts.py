"""Ctrl-C ends a busy program at whatever moment it comes, and so do the caller's own exceptions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from random import randrange
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from runware_ws.runtime.concurrency import Background
from tests.support.clients import IMAGE, client_of
from tests.support.scripted import ScriptedServer

PROGRAM = Path(__file__).with_name("interrupted.py")
INTERRUPTS = int(os.environ.get("INTERRUPTS", "40"))


@pytest.mark.crash
@pytest.mark.timeout(60 + 3 * INTERRUPTS)
@pytest.mark.parametrize("journaled", [False, True])
@pytest.mark.parametrize(("backend", "presses"), [("asyncio", 1), ("asyncio", 2), ("trio", 1)])
def test_ctrl_c_at_any_moment_comes_out_of_a_busy_program(
    backend: str, presses: int, journaled: bool, tmp_path: Path
) -> None:
    pytest.importorskip("trio")
    journal, seed = str(tmp_path) if journaled else "-", randrange(10**6)
    print(f"seed: {seed}")  # noqa: T201  # shown when it fails
    with ScriptedServer() as server:
        arguments = [server.url, backend, journal, str(INTERRUPTS), str(seed), str(presses)]
        command = [sys.executable, str(PROGRAM), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split("\n") == ["ok"] * INTERRUPTS + [""], done.stderr
    assert done.returncode == 0


def test_ctrl_c_in_a_task_that_a_library_started_goes_to_the_main_task() -> None:
    trio = pytest.importorskip("trio")

    async def child() -> None:
        await anyio.lowlevel.checkpoint()
        signal.raise_signal(signal.SIGINT)  # raised right here: nothing protects a child

    async def library() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)

    async def main() -> None:
        Background(library, "a task of the client")
        await anyio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)


class Doom(BaseException):
    """An exception of the caller's own that is no `Exception`."""


def raises(error: BaseException) -> Iterator[str]:
    yield IMAGE
    raise error


async def raises_later(error: BaseException) -> AsyncIterator[str]:
    yield IMAGE
    await anyio.lowlevel.checkpoint()
    raise error


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), Doom(), ValueError()], ids=repr
)
@pytest.mark.parametrize("images", [raises, raises_later])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_exception_of_the_images_comes_out_of_the_program(
    backend: str, images: Callable[[BaseException], Any], error: BaseException
) -> None:
    if backend == "trio":
        pytest.importorskip("trio")

    async def main(server: ScriptedServer) -> None:
        async with client_of(server) as client:
            async for outcome in client.upscale_many(images(error)):
                outcome.unwrap()

    with ScriptedServer() as server, pytest.raises(type(error)) as caught:
        anyio.run(main, server, backend=backend)
    assert caught.value is error


@pytest.mark.anyio
async def test_images_have_the_context_variables_of_their_reader() -> None:
    variable: ContextVar[str] = ContextVar("variable")
    seen: list[str] = []

    async def images() -> AsyncIterator[str]:
        for number in range(3):
            seen.append(variable.get())
            variable.set(f"set by image {number}")
            yield IMAGE

    variable.set("set by the reader")
    with ScriptedServer() as server:
        async with client_of(server) as client:
            async for outcome in client.upscale_many(images()):
                outcome.unwrap()
    assert seen == ["set by the reader", "set by image 0", "set by image 1"]
    assert variable.get() == "set by the reader"
