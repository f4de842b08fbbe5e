"""A program that never closes its client ends all the same, and hears of it in one warning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.scripted import ScriptedServer

PROGRAM = Path(__file__).with_name("left_open.py")


@pytest.mark.parametrize(
    ("backend", "how"),
    [
        ("asyncio", "run"),
        ("trio", "run"),
        ("asyncio", "thread"),
        ("asyncio", "open loop"),
        ("asyncio", "closed loop"),
    ],
)
def test_a_program_that_leaves_its_client_open_ends_with_a_warning(backend: str, how: str) -> None:
    if backend == "trio":
        pytest.importorskip("trio")
    with ScriptedServer() as server:
        arguments = ["-W", "always::ResourceWarning", str(PROGRAM), server.url, backend, how]
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, timeout=30, check=False
        )
    assert done.returncode == 0
    assert done.stderr.count("a RunwareClient was never closed") == 1
    assert "Traceback" not in done.stderr
