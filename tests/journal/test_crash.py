"""Kill the command with SIGKILL at random moments, with a journal, and start it again each time.

`CRASH_TEST=300x50 pytest -m crash` has 300 images and 50 deaths instead of a
few; `CRASH_SEED=…` repeats the moments of an earlier run, as far as the machine lets it.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.journal.emulating import emulator_elsewhere

IMAGES, KILLS = map(int, os.environ.get("CRASH_TEST", "60x6").split("x"))
SEED = int(os.environ.get("CRASH_SEED", secrets.randbelow(2**32)))
PATIENCE = 30 + 5 * KILLS
COMMAND = (
    "-m runware_ws upscale in --out out --format png --journal jobs.db --json --max-in-flight 4"
)


class Lives:
    """One command, and how often it had to begin again."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = {**os.environ, **environment}
        self.kills = 0
        self.told: Counter[str] = Counter()

    def live(self, moment: float, lines: int) -> int | None:
        """Start it, and kill it after so many lines and seconds. Its status if it was quicker."""
        with subprocess.Popen(
            [sys.executable, *COMMAND.split()],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            told = [line for _, line in zip(range(lines), process.stdout, strict=False)]
            try:
                rest, errors = process.communicate(timeout=moment)
            except subprocess.TimeoutExpired:
                process.kill()
                rest, errors = process.communicate()
                self.kills += 1
            self._note([*told, *rest.splitlines()])
            assert process.returncode in (0, -9, 1), errors
            assert "Traceback" not in errors
            return process.returncode

    def _note(self, lines: list[str]) -> None:
        for line in lines:
            if line.rstrip().endswith("}"):  # the last one may be cut off
                one = json.loads(line)
                assert one["error"] is None, one
                self.told[one["source"]] += 1


def make_images(folder: Path) -> None:
    """Each of another colour, so that each is told from the others by its bytes."""
    folder.mkdir()
    for number in range(IMAGES):
        Image.new("RGB", (4, 4), colour_of(number)).save(folder / name_of(number))


def name_of(number: int) -> str:
    return f"{number:03}.png"


def colour_of(number: int) -> tuple[int, int, int]:
    return (number % 256, number // 256, 77)


def whole_outputs(folder: Path) -> set[str]:
    """The names of the results. Each is whole, at whatever moment the command died, and its own."""
    paths = [path for path in folder.glob("*") if path.name[0] != "."]
    for path in paths:
        with Image.open(path) as image:
            assert image.size == (16, 16)
            assert image.getpixel((8, 8)) == colour_of(int(path.stem))
    return {path.name for path in paths}


@pytest.mark.crash
@pytest.mark.timeout(PATIENCE + 60)
def test_a_command_killed_at_any_moment_upscales_each_image_once(tmp_path: Path) -> None:
    print(f"seed: {SEED}")  # noqa: T201  # shown when it fails
    rng = random.Random(SEED)
    make_images(tmp_path / "in")
    began = time.monotonic()
    with emulator_elsewhere(latency=0.25, workers=2) as emulator:
        lives = Lives(tmp_path, emulator.environment)
        while lives.kills < KILLS:
            # Many a life ends before it has done anything, or there would soon be nothing to do.
            if len(lives.told) / IMAGES > 0.9 * lives.kills / KILLS:
                status = lives.live(rng.uniform(0, 0.8), 0)
            else:
                at_most = min(2 * IMAGES // KILLS, (IMAGES - len(lives.told)) // 2)
                status = lives.live(rng.uniform(0, 0.3), rng.randrange(at_most + 1))
            whole_outputs(tmp_path / "out")
            if status == 0:  # this process was held up while the command was not
                break
        assert lives.live(PATIENCE, 0) == 0
        runs = emulator.runs_of_images()
    assert whole_outputs(tmp_path / "out") == {name_of(number) for number in range(IMAGES)}
    assert len(runs) == IMAGES
    assert set(runs.values()) == {1}
    twice = sum(count > 1 for count in lives.told.values())
    seconds = time.monotonic() - began
    figures = f"{IMAGES} images, {lives.kills} kills, {seconds:.0f} s; saved again: {twice}"
    print(figures)  # noqa: T201  # for `pytest -s`
