"""A task takes few objects, so that a hundred thousand do not keep the garbage collector busy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.scripted import ScriptedServer

PROGRAM = Path(__file__).with_name("many_tasks.py")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_no_task_has_a_dict_of_its_own(backend: str) -> None:
    if backend == "trio":
        pytest.importorskip("trio")
    with ScriptedServer() as server:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), server.url, backend],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert done.stdout == "0\n"
