"""Wrong input at every door: one clear line, an exit status, and never a traceback.

What belongs to one option is tested with it; a full disk in `test_unsaved`.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from runware_ws.emulator import Emulator
from tests.cli.conftest import (
    make_broken_image,
    make_image,
    make_images,
    results,
    run,
)

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["missing.jpg"], 2, "error: missing.jpg: No such file or directory; give an existing"),
        (["*.gif"], 2, "error: *.gif: no file matches; give files, folders or URLs"),
        (["empty"], 2, "error: IMAGES: no image found; give JPG, PNG or WEBP files"),
        (["--files-from", "empty.txt"], 2, "error: IMAGES: no image found"),
        (["--files-from", "none.txt"], 2, "error: --files-from: none.txt: No such file"),
        (["text.jpg"], 1, "failed: text.jpg: is a text file, not an image; give an image file"),
        (["notes.txt"], 1, "failed: notes.txt: is a text file, not an image"),
        (["zero.jpg"], 1, "failed: zero.jpg: is empty; give an image file"),
        (["broken.png"], 1, "failed: broken.png: Invalid image: the image cannot be read"),
        pytest.param(
            ["huge.png"],
            1,
            "failed: huge.png: Invalid image: the image cannot be read",
            marks=pytest.mark.long,
        ),
        (["a.jpg", "--name", "{size}"], 2, "error: --name: {size} is not known; use {name}"),
        (
            ["a.jpg", "--max-cost", "-1"],
            2,
            "error: --max-cost: -1.0 is out of range; pass a number",
        ),
        (["a.jpg", "--max-cost", "0"], 2, "error: --max-cost: 0.0 is out of range; pass a number"),
        (["a.jpg", "--format", "gif"], 2, "error: --format: 'GIF' is not allowed"),
        (["a.jpg", "--out", "file"], 2, "error: --out: file cannot be written to: Not a directory"),
    ],
)
@pytest.mark.usefixtures("service")
def test_wrong_input_gets_one_line(arguments: list[str], status: int, line: str) -> None:
    Path("empty").mkdir()
    Path("file").touch()
    make_image("a.jpg")
    make_broken_image("broken.png")
    make_broken_image("huge.png")
    with Path("huge.png").open("r+b") as file:
        file.truncate(100_000_000)
    Path("zero.jpg").touch()
    Path("empty.txt").touch()
    for name in ("text.jpg", "notes.txt"):
        Path(name).write_text("text")
    done = run("upscale", *arguments)
    assert done.status == status
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(line)
    summary = status == 1
    assert done.stderr.count("\n") == 1 + summary
    assert not Path("upscaled").exists() or results() == []


def test_a_bad_key_gets_one_line(service: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    make_images("a")
    monkeypatch.setenv("RUNWARE_API_KEY", "wrong")
    done = run("upscale", "in")
    assert done.status == 2
    assert done.stderr.splitlines()[-1].startswith("error: the service refused the API key: ")
    assert done.stderr.count("\n") == 1
    assert not Path("upscaled").exists()


def test_no_network_gets_one_line_of_error(monkeypatch: pytest.MonkeyPatch) -> None:
    make_images("a")
    monkeypatch.setenv("RUNWARE_API_KEY", "some-key")
    url = "ws://127.0.0.1:9/v1"
    done = run("upscale", "in", "--url", url, "--max-reconnect-time", "0")
    assert done.status == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: cannot connect to {url}: ")
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr


def test_a_list_of_files_comes_from_a_pipe(
    service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images("ab")
    stdin = io.TextIOWrapper(io.BytesIO(b"in/a.jpg\nin/b.jpg\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    from runware_ws.cli.inputs import listed

    assert listed("-") == ["in/a.jpg", "in/b.jpg"]


@pytest.mark.usefixtures("service")
def test_images_of_a_list_and_of_a_pattern_are_upscaled() -> None:
    make_images("ab")
    make_image("more/c.png")
    arguments = ("more/*.png", "--files-from", "-", "--json")
    done = run("upscale", *arguments, stdin="in/a.jpg\nin/b.jpg\n")
    assert done.status == 0
    assert [one["source"] for one in done.objects] == ["in/a.jpg", "in/b.jpg", "more/c.png"]
    assert results() == ["a.jpg", "b.jpg", "c.png.jpg"]


# The amount of output


def test_quiet_prints_failures_and_nothing_else(service: Emulator) -> None:
    make_images("ab")
    done = run("upscale", "in", "--quiet")
    assert (done.status, done.output) == (0, "")
    make_broken_image("in/c.jpg")
    done = run("upscale", "in", "-q", "--skip-existing")
    assert done.status == 1
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith("failed: in/c.jpg: Invalid image")
    assert "1 failed; 2 already done" in second


def test_quiet_leaves_the_json_lines(service: Emulator) -> None:
    make_images("ab")
    done = run("upscale", "in", "-q", "--json")
    assert len(done.objects) == 2
    assert done.stderr == ""


def test_verbose_prints_what_the_connection_does(service: Emulator) -> None:
    make_images("a")
    assert "connected" not in run("upscale", "in").stderr
    done = run("upscale", "in", "-v", "--overwrite")
    assert done.status == 0
    assert "connected" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_command_completes_itself_in_a_shell(
    monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setenv("_RUNWARE_WS_COMPLETE", f"source_{shell}")
    done = run()
    assert done.status == 0
    assert "runware-ws" in done.stdout
