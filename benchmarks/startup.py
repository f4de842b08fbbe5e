"""Workload j: what it costs to begin."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from statistics import median

from .job import Figures
from .runs import ROOT, RunFailedError

__all__ = ["STARTUP_CLIENTS", "start"]

_PARTS = "import websockets.asyncio.client, orjson, anyio"
_TIMES = 7  # processes a round
# Compiled once, as what is installed is.
_ENVIRONMENT = {**os.environ}
_ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)
STARTUP_CLIENTS = {
    "limit": ["-c", _PARTS],
    "ours": ["-c", "import runware_ws"],
    "ours --help": ["-m", "runware_ws", "--help"],
}


def start(name: str) -> Figures:
    """Start one of `STARTUP_CLIENTS`: CPU milliseconds, less those of a bare interpreter.

    Raises:
        RunFailedError: it does not start.
    """
    bare, whole, wall = [], [], []
    for _ in range(_TIMES):
        bare.append(_cpu_of(["-c", "pass"]))
        begun = time.perf_counter()
        whole.append(_cpu_of(STARTUP_CLIENTS[name]))
        wall.append(time.perf_counter() - begun)
    return {
        "import_ms": (median(whole) - median(bare)) * 1e3,
        "bare_ms": median(bare) * 1e3,
        "wall_ms": median(wall) * 1e3,
    }


def _cpu_of(arguments: list[str]) -> float:
    """CPU seconds of a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *arguments]
    done = subprocess.run(  # noqa: S603  # fixed
        command, cwd=ROOT, env=_ENVIRONMENT, capture_output=True, check=False
    )
    if done.returncode:
        raise RunFailedError(f"failed: {done.stderr.decode().strip()[-200:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
