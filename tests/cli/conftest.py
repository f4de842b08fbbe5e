"""An emulator, images, and the command: within this process, or as one of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from runware_ws.cli.app import app
from runware_ws.emulator import Emulator

Start = Callable[..., "subprocess.Popen[str]"]


class Ended:
    """How a command ended."""

    def __init__(self, status: int, stdout: str, stderr: str) -> None:
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        self.output = stdout + stderr

    @property
    def objects(self) -> list[dict[str, Any]]:
        """stdout as JSON lines, by their source."""
        found = [json.loads(line) for line in self.stdout.splitlines()]
        return sorted(found, key=lambda one: str(one["source"]))


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def use(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator, with the environment set so that the command uses it."""
    monkeypatch.setenv("RUNWARE_URL", emulator.url)
    monkeypatch.setenv("RUNWARE_API_KEY", emulator.api_key)
    return emulator


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(path: Path, size: tuple[int, int] = (8, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "teal").save(path)
    return path


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def run(*arguments: str | Path) -> Ended:
    """Run the command within this process."""
    result = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    return Ended(result.exit_code, result.stdout, result.stderr)


def python(code: str, *arguments: str) -> Ended:
    """Run code in a new interpreter, as if it were the command."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the command as a process of its own, which does not outlive the test."""
    started: list[subprocess.Popen[str]] = []

    def start_one(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "runware_ws", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, **{**pipes, **options})
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str]) -> Ended:
    stdout, stderr = process.communicate()
    return Ended(process.returncode, stdout or "", stderr or "")
