"""Give the tests of the command an emulator, images, and ways to run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from runware_ws.cli.app import app
from runware_ws.emulator import Emulator

Start = Callable[..., "subprocess.Popen[str]"]

unix = pytest.mark.skipif(sys.platform == "win32", reason="has other signals and permissions")
has_full_device = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="has no device that is always full"
)


class Finished:
    """A command that has ended: its exit status and its output."""

    def __init__(self, status: int, stdout: str, stderr: str) -> None:
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        self.output = stdout + stderr

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON lines of stdout, sorted by source."""
        objects = [json.loads(line) for line in self.stdout.splitlines()]
        return sorted(objects, key=lambda one: str(one["source"]))


def set_service(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands connect to `emulator`."""
    monkeypatch.setenv("RUNWARE_URL", emulator.url)
    monkeypatch.setenv("RUNWARE_API_KEY", emulator.api_key)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator that commands connect to."""
    with Emulator() as emulator:
        set_service(emulator, monkeypatch)
        yield emulator


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_image(path: str | Path, size: tuple[int, int] = (8, 6), color: str = "teal") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


def make_broken_image(path: str | Path) -> None:
    """Make a file that only the service finds to be no image."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))


def make_images(names: str) -> None:
    """Make an image ``in/NAME.jpg`` for each character of `names`."""
    for name in names:
        make_image(f"in/{name}.jpg")


def results(folder: str | Path = "upscaled") -> list[str]:
    """Return the names of the results in a folder, sorted."""
    return sorted(path.name for path in Path(folder).iterdir() if path.name[0] != ".")


def size_of(path: str | Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def run(*arguments: str | Path, stdin: str = "") -> Finished:
    """Run the command in this process."""
    words = [str(one) for one in arguments]
    result = CliRunner().invoke(app, words, stdin, prog_name="runware-ws", catch_exceptions=False)
    return Finished(result.exit_code, result.stdout, result.stderr)


def run_python(code: str, *arguments: str) -> Finished:
    """Run code in a new interpreter, with `arguments` as its command line."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def start() -> Iterator[Start]:
    """A function that starts the command in a process of its own. The test's end kills it."""
    processes: list[subprocess.Popen[str]] = []

    def start_one(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "runware_ws", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, **{**pipes, **options})
        processes.append(process)
        return process

    yield start_one
    for process in processes:
        with process:
            process.kill()


def upscales_of(emulator: Emulator) -> set[str]:
    """Return the taskUUIDs of the upscale tasks that an emulator has received."""
    requests = [one.task for one in emulator.requests]
    return {task["taskUUID"] for task in requests if task["taskType"] == "upscale"}


def wait_for_upscales(emulator: Emulator, count: int) -> None:
    """Wait until an emulator has received so many upscale tasks."""
    give_up_at = time.monotonic() + 20
    while len(upscales_of(emulator)) < count:
        assert time.monotonic() < give_up_at
        time.sleep(0.01)  # the emulator has no event for this


def wait(process: subprocess.Popen[str]) -> Finished:
    """Return how the command ends."""
    stdout, stderr = process.communicate()
    return Finished(process.returncode, stdout or "", stderr or "")


def on_terminal(
    start: Start, *arguments: str | Path, columns: int = 80, kind: str = "xterm", keys: str = ""
) -> Finished:
    """Run the command on a terminal of its own, where `keys` are typed; stdout is all it shows."""
    import pty

    reading, writing = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": kind}
    streams = {"stdin": writing, "stdout": writing, "stderr": writing}
    process = start(*arguments, **streams, env=environment)
    os.close(writing)
    os.write(reading, keys.encode())
    shown = b""
    try:
        while chunk := os.read(reading, 65536):
            shown += chunk
    except OSError:  # how Linux reports that the other side is closed
        pass
    finally:
        os.close(reading)
    return Finished(process.wait(), shown.decode(), "")
