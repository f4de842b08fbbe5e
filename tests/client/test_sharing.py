"""Processes that share nothing but the service upscale the same images: each is run once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runware_ws.emulator import Emulator
from tests.client.sharing import png_of

ROOT = Path(__file__).parents[2]


def started(emulator: Emulator, images: int, seed: int) -> subprocess.Popen[str]:
    service = {"RUNWARE_URL": emulator.url, "RUNWARE_API_KEY": emulator.api_key}
    command = [sys.executable, "-m", "tests.client.sharing", str(images), str(seed)]
    return subprocess.Popen(
        command,
        env={**os.environ, **service, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def killed_after(process: subprocess.Popen[str], results: int) -> None:
    assert process.stdout is not None
    for _ in range(results):
        process.stdout.readline()
    process.kill()
    process.communicate()
    assert process.returncode in (-signal.SIGKILL, 0, 1)  # it may have been quick; 1 on Windows


def shared(images: int, processes: int, kills: int) -> None:
    with Emulator(latency=0.02) as emulator:
        running = [started(emulator, images, seed) for seed in range(processes)]
        for process in running[:kills]:
            killed_after(process, random.Random(images).randrange(images // 4))
        outputs = [process.communicate()[0] for process in running[kills:]]
        assert [process.returncode for process in running[kills:]] == [0] * len(outputs)
        links = [dict(line.split(" ") for line in output.splitlines()) for output in outputs]
        assert set(links[0]) == {str(number) for number in range(images)}
        assert all(one == links[0] for one in links)
        assert emulator.executions.total() == images
        assert set(emulator.executions.values()) == {1}


def test_the_images_differ() -> None:
    assert len({png_of(number) for number in range(1000)}) == 1000


@pytest.mark.crash
def test_several_processes_run_each_image_once_while_some_are_killed() -> None:
    shared(images=40, processes=4, kills=2)


@pytest.mark.crash
@pytest.mark.timeout(600)
def test_eight_processes_run_each_of_a_thousand_images_once_while_some_are_killed() -> None:
    shared(images=1000, processes=8, kills=4)
