"""Programs with a journal, killed at random moments: nothing is lost, and nothing is run twice.

A handful of deaths for each way of using the client; `CRASH_TEST=300x50 pytest -m crash` has 300
images and 50 deaths for each instead of 40 and 15. `CRASH_SEED=…` repeats the moments of an earlier
run, as far as the machine lets it.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.journal.clients import in_file
from tests.journal.dying import MODES
from tests.journal.emulating import emulator_elsewhere

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("CRASH_SEED", secrets.randbelow(2**32)))
IMAGES, KILLS = map(int, os.environ.get("CRASH_TEST", "30x6").split("x"))
BACKENDS = dict(zip(MODES, ("asyncio", "trio") * 3, strict=True))


def colour_of(number: int) -> tuple[int, int, int]:
    return (number % 256, number // 256, 77)


def make_images(folder: Path, count: int) -> None:
    """Each of another colour, so that each is told from the others by its bytes."""
    (folder / "in").mkdir()
    (folder / "out").mkdir()
    for number in range(count):
        Image.new("RGB", (4, 4), colour_of(number)).save(folder / "in" / f"{number:03}.png")


def live(folder: Path, mode: str, environment: dict[str, str], steps: int | None) -> int:
    """Let the program live until it has done so much, and kill it. The number of its steps."""
    command = [sys.executable, "-m", "tests.journal.dying", mode, BACKENDS[mode]]
    paths = {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **paths, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        done = 0
        for done, _ in enumerate(process.stdout, start=1):
            if done == steps:
                time.sleep(random.uniform(0, 0.03))
                process.kill()
                break
        errors = process.stderr.read()
        assert process.wait() in (0, -signal.SIGKILL), errors
        assert "Traceback" not in errors, errors
        return done


def killed_again_and_again(folder: Path, mode: str, images: int, kills: int) -> None:
    print(f"seed: {SEED}")  # noqa: T201  # shown when it fails
    random.seed(SEED)
    make_images(folder, images)
    with emulator_elsewhere(latency=0.05, workers=4) as emulator:
        for _ in range(kills):
            live(folder, mode, emulator.environment, random.randint(1, 1 + 3 * images // kills))
        live(folder, mode, emulator.environment, None)
        runs = emulator.runs_of_images()
    outputs = sorted(path for path in (folder / "out").iterdir() if path.name[0] != ".")
    assert [path.stem for path in outputs] == [f"{number:03}" for number in range(images)]
    for number, path in enumerate(outputs):
        with Image.open(path) as image:
            pixel = image.convert("RGB").getpixel((8, 8))
        assert isinstance(pixel, tuple)
        assert max(abs(a - b) for a, b in zip(pixel, colour_of(number), strict=True)) < 4
    assert len(runs) == images
    assert set(runs.values()) == {1}
    assert in_file(folder / "jobs.db") == []


@pytest.mark.crash
@pytest.mark.parametrize("mode", ["upscale", "readers"])
def test_a_program_that_is_killed_loses_nothing_and_runs_nothing_twice(
    mode: str, tmp_path: Path
) -> None:
    killed_again_and_again(tmp_path, mode, images=8, kills=2)


@pytest.mark.crash
@pytest.mark.timeout(60 + 10 * KILLS)
@pytest.mark.parametrize("mode", MODES)
def test_nor_does_one_that_is_killed_again_and_again(mode: str, tmp_path: Path) -> None:
    killed_again_and_again(tmp_path, mode, IMAGES, KILLS)
