"""A process that is forked has a copy of its parent's client, and must not disturb the original."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.scripted import ScriptedServer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

PROGRAM = Path(__file__).with_name("forked.py")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_forked_process_keeps_off_the_connection(backend: str) -> None:
    if backend == "trio":
        pytest.importorskip("trio")
    with ScriptedServer() as server:
        command = [sys.executable, str(PROGRAM), server.url, backend]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(server.connections) == 1
        assert len(server.tasks) == 10
