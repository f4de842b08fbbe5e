"""Run an emulator in a process of its own, which the deaths of its clients do not touch.

Started as a module it says where it is, and then, for each line that it is given, how often each
image was upscaled.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runware_ws.emulator import Emulator
from runware_ws.emulator.service.history import ReceivedTask

__all__ = ["ElsewhereEmulator", "emulator_elsewhere"]

_ROOT = Path(__file__).parents[2]


class ElsewhereEmulator:
    """The emulator, as its parent sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.url, self.api_key = json.loads(process.stdout.readline())

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that lead a client here."""
        return {"RUNWARE_URL": self.url, "RUNWARE_API_KEY": self.api_key}

    def runs_of_images(self) -> Counter[str]:
        """Return how often each image was upscaled, by its base64 or its URL."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Counter(json.loads(self._process.stdout.readline()))


@contextmanager
def emulator_elsewhere(latency: float, workers: int) -> Iterator[ElsewhereEmulator]:
    """An emulator that runs until the end of the block."""
    command = [sys.executable, "-m", "tests.journal.emulating", str(latency), str(workers)]
    process = subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield ElsewhereEmulator(process)
        finally:
            process.kill()


def _runs_of_images(emulator: Emulator) -> Counter[str]:
    images = {one.task["taskUUID"]: one.task["inputs"]["image"] for one in _upscales(emulator)}
    runs: Counter[str] = Counter()
    for uuid, count in emulator.executions.items():
        runs[images[uuid]] += count
    return runs


def _upscales(emulator: Emulator) -> Iterator[ReceivedTask]:
    return (one for one in emulator.requests if one.task["taskType"] == "upscale")


def _main(latency: str, workers: str) -> None:
    with Emulator(latency=float(latency), workers=int(workers)) as emulator:
        _tell([emulator.url, emulator.api_key])
        for _ in sys.stdin:
            _tell(_runs_of_images(emulator))


def _tell(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
