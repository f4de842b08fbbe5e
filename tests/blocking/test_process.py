"""A blocking client and its process: Ctrl-C, forks, and ends without a goodbye."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.support.clients import KEY
from tests.support.connection import silent
from tests.support.scripted import ScriptedServer

ROOT = Path(__file__).parent.parent.parent
IMAGE = "https://example.com/photo.jpg"


def program(server: ScriptedServer, code: str) -> subprocess.Popen[str]:
    """A process with `client`, which is not open yet."""
    head = f"""
import os, sys
from runware_ws import ClientClosedError
from runware_ws.sync import RunwareClient
client = RunwareClient("{KEY}", url="{server.url}")
"""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", head + code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(server: ScriptedServer, condition: Callable[[], Any]) -> None:
    anyio.run(server.until, condition)


def output_of(process: subprocess.Popen[str]) -> str:
    try:
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, output
    return output


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent Ctrl-C alone")
@pytest.mark.parametrize(
    "waiting",
    [
        f'client.upscale("{IMAGE}")',
        f'client.submit("{IMAGE}").result()',
        f'list(client.upscale_many(["{IMAGE}"]))',
    ],
)
def test_ctrl_c_ends_whatever_waits(waiting: str) -> None:
    code = f"""
with client:
    try:
        {waiting}
    except KeyboardInterrupt:
        print("interrupted", client.ping() > 0)
"""
    with ScriptedServer(silent) as server:
        process = program(server, code)
        until(server, lambda: server.tasks)
        process.send_signal(signal.SIGINT)
        assert output_of(process) == "interrupted True\n"
        assert server.connections[0].closed == 1000


def test_a_program_that_never_closes_its_client_ends_and_says_goodbye(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(b"\x89PNG" + bytes(1_000_000))  # encoded in a thread, which stays
    code = f"""
from pathlib import Path
client.connect()
print(client.upscale(Path({str(large)!r})).task_uuid)
"""
    with ScriptedServer() as server:
        assert output_of(program(server, code)).strip() in server.executed
        assert server.connections[0].closed == 1000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork_the_child_is_told_to_make_its_own_client() -> None:
    code = f"""
from runware_ws.sync import RunwareClient
with client:
    outcomes = client.upscale_many(["{IMAGE}"])
    task, result, events = client.submit("{IMAGE}"), client.upscale("{IMAGE}"), client.events()
    uses = (
        lambda: client.upscale("{IMAGE}"), lambda: next(outcomes), client.connect, client.drain,
        task.result, task.cancel, result.read, lambda: next(events),
    )
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0
        print(client.upscale("{IMAGE}").image_url is not None)
    else:
        for use in uses:
            try:
                use()
            except ClientClosedError as error:
                print(error, flush=True)
        client.close()
        with RunwareClient("{KEY}", url="{{url}}") as own:
            print(own.upscale("{IMAGE}").image_url is not None, flush=True)
        os._exit(0)
"""
    with ScriptedServer() as server:
        output = output_of(program(server, code.replace("{url}", server.url)))
        assert output.count("open a client in each process") == 8
        assert output.count("True") == 2
        assert len(server.connections) == 2
