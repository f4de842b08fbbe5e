"""The command ``large``."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from runware_ws.emulator import Emulator
from tests.cli.conftest import Start, run, set_service, size_of, unix, wait

pytestmark = pytest.mark.usefixtures("folder")


def make_noise(path: str, size: tuple[int, int]) -> None:
    Image.effect_noise(size, 50).save(path)


def test_an_image_of_any_size_is_upscaled_in_tiles(service: Emulator) -> None:
    make_noise("wide.png", (1500, 20))
    done = run("large", "wide.png", "--out", "new/large.png")
    assert done.status == 0
    assert "1500 x 20 to 6000 x 80 pixels: 2 tiles, about $0.0026" in done.stderr
    assert done.stdout == "new/large.png (6000 x 80, $0.0026)\n"
    assert size_of("new/large.png") == (6000, 80)
    assert service.executions.total() == 2


@pytest.mark.usefixtures("service")
def test_a_dry_run_says_the_tiles_and_the_cost(service: Emulator) -> None:
    Image.new("L", (2000, 2000)).save("sky.png")
    done = run("large", "sky.png", "--out", "large.png", "--factor", "2", "--dry-run")
    assert done.stdout == "2000 x 2000 to 4000 x 4000 pixels: 1 tile, about $0.0013\n"
    done = run("large", "sky.png", "--out", "large.png", "-n")
    assert done.stdout == (
        "2000 x 2000 to 8000 x 8000 pixels: 9 tiles (8 with the same content as another), about "
        "$0.0013\n"
    )
    assert not service.executions


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["missing.png", "--out", "a.png"], "missing.png is not a file"),
        (["a.png", "--out", "a.png"], "exists; give --overwrite"),
        (["a.png", "--out", "b.png", "--max-cost", "0.001"], "--max-cost: $0.0010 is less"),
        (["a.png", "--out", "b.gif"], "error: --out: the suffix '.gif' is not known"),
        (["test.txt", "--out", "b.png"], "error: IMAGE: cannot be read"),
        (["a.png", "--out", "b.png", "--overlap", "1"], "1 is too small to hide a seam"),
    ],
)
def test_what_cannot_be_done_is_refused(
    arguments: list[str], match: str, service: Emulator
) -> None:
    make_noise("a.png", (20, 20))
    Path("test.txt").write_text("no image")
    done = run("large", *arguments)
    assert done.status == 2
    assert match in done.stderr
    assert not service.executions


@pytest.mark.crash
@unix
def test_killed_and_run_again_it_runs_only_the_tiles_that_are_missing(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_noise("a.png", (700, 600))
    command = ("large", "a.png", "--out", "b.png", "--tile-size", "256", "--max-in-flight", "2")
    with Emulator(latency=0.1) as emulator:
        set_service(emulator, monkeypatch)
        process = start(*command)
        while emulator.executions.total() < 4:
            assert process.poll() is None
        process.kill()
        wait(process)
        assert not Path("b.png").exists()
        done = wait(start(*command, "--overwrite"))
        assert done.status == 0, done.stderr
        assert set(emulator.executions.values()) == {1}
        assert emulator.executions.total() == 12
    assert size_of("b.png") == (2800, 2400)
    assert sorted(one.name for one in Path().iterdir()) == ["a.png", "b.png"]
