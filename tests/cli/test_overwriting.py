"""Results that are there: skipped if they belong to their input, and never overwritten unasked."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from runware_ws.emulator import Emulator
from tests.cli.conftest import (
    Start,
    make_image,
    make_images,
    on_terminal,
    results,
    run,
    size_of,
    unix,
)

pytestmark = pytest.mark.usefixtures("folder")

SKIPPING = [("--skip-existing",), ("--journal", "jobs.db")]


def upscaled(service: Emulator) -> int:
    """Return the number of images that the service has upscaled."""
    return sum(service.executions.values())


@pytest.mark.parametrize("skipping", SKIPPING)
def test_a_second_run_costs_nothing_and_says_so(
    service: Emulator, skipping: tuple[str, ...]
) -> None:
    make_images("abc")
    assert run("upscale", "in", *skipping).status == 0
    again = run("upscale", "in", *skipping)
    assert again.status == 0
    assert again.stdout == ""
    assert again.stderr == "nothing to do: 3 already done; nothing was sent, at no cost\n"
    assert upscaled(service) == 3


def test_a_second_run_needs_no_service(service: Emulator) -> None:
    make_images("abc")
    assert run("upscale", "in").status == 0
    service.stop()
    assert run("upscale", "in", "--skip-existing").status == 0


@pytest.mark.parametrize("skipping", SKIPPING)
def test_a_new_image_is_upscaled_beside_one_of_its_name(
    service: Emulator, skipping: tuple[str, ...]
) -> None:
    make_image("in/shot.png", (4, 4))
    assert run("upscale", "in", *skipping).status == 0
    make_image("in/shot.jpg", (6, 6))
    assert run("upscale", "in", *skipping).status == 0
    assert size_of("upscaled/shot.png.jpg") == (16, 16)
    assert size_of("upscaled/shot.jpg") == (24, 24)
    assert upscaled(service) == 2


@pytest.mark.parametrize("skipping", SKIPPING)
def test_an_image_that_takes_the_name_of_another_is_refused_or_upscaled(
    service: Emulator, skipping: tuple[str, ...]
) -> None:
    command = ("upscale", "in", "--name", "{stem}", *skipping)
    make_image("in/shot.png", (4, 4))
    assert run(*command).status == 0
    Path("in/shot.png").unlink()
    make_image("in/shot.jpg", (6, 6))
    refused = run(*command)
    assert refused.status == 2
    assert "shot.jpg (the result of another input); add --overwrite" in refused.stderr
    assert size_of("upscaled/shot.jpg") == (16, 16)
    assert run(*command, "--overwrite").status == 0
    assert size_of("upscaled/shot.jpg") == (24, 24)
    assert upscaled(service) == 2


@pytest.mark.parametrize("skipping", SKIPPING)
def test_an_image_that_has_changed_is_upscaled_again(
    service: Emulator, skipping: tuple[str, ...]
) -> None:
    make_images("ab")
    assert run("upscale", "in", *skipping).status == 0
    make_image("in/a.jpg", (10, 10))
    again = run("upscale", "in", *skipping)
    assert again.status == 0
    assert "1 already done" in again.stderr
    assert size_of("upscaled/a.jpg") == (40, 40)
    assert upscaled(service) == 3


@pytest.mark.parametrize("skipping", SKIPPING)
@pytest.mark.parametrize(
    ("first", "then", "reason"),
    [
        (("--factor", "2"), ("--factor", "4"), "made with other options: factor 2"),
        (("--quality", "30"), (), "made with other options: quality 30"),
        (("--emulator",), (), "made by emulator, not by 127.0.0.1"),
    ],
)
def test_a_result_that_was_made_in_another_way_is_refused_or_made_again(
    service: Emulator,
    skipping: tuple[str, ...],
    first: tuple[str, ...],
    then: tuple[str, ...],
    reason: str,
) -> None:
    make_image("in/a.jpg")
    assert run("upscale", "in", *first, *skipping).status == 0
    before, there = upscaled(service), Path("upscaled/a.jpg").read_bytes()
    refused = run("upscale", "in", *then, *skipping)
    assert refused.status == 2
    assert f"a.jpg ({reason}); add --overwrite" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert Path("upscaled/a.jpg").read_bytes() == there
    assert run("upscale", "in", *then, *skipping, "--overwrite").status == 0
    assert upscaled(service) == before + 1
    assert run("upscale", "in", *then, *skipping).status == 0
    assert upscaled(service) == before + 1


def test_another_format_has_another_name(service: Emulator) -> None:
    make_image("in/a.jpg")
    assert run("upscale", "in").status == 0
    assert run("upscale", "in", "--format", "png", "--skip-existing").status == 0
    assert results() == ["a.jpg", "a.jpg.png"]
    assert upscaled(service) == 2


@pytest.mark.parametrize("skipping", SKIPPING)
def test_an_empty_file_at_the_place_of_a_result_is_replaced(
    service: Emulator, skipping: tuple[str, ...]
) -> None:
    make_image("in/a.jpg")
    Path("upscaled").mkdir()
    Path("upscaled/a.jpg").touch()
    assert run("upscale", "in", *skipping).status == 0
    Path("upscaled/a.jpg").write_bytes(b"")
    assert run("upscale", "in", *skipping).status == 0
    assert size_of("upscaled/a.jpg") == (32, 24)
    assert upscaled(service) == 2


@pytest.mark.parametrize("options", [(), *SKIPPING])
def test_a_file_of_the_user_is_not_overwritten_unasked(
    service: Emulator, options: tuple[str, ...]
) -> None:
    make_images("ab")
    make_image("upscaled/a.jpg", (1, 1))
    refused = run("upscale", "in", *options)
    assert refused.status == 2
    assert refused.stderr == (
        "error: 1 of 2 results would overwrite files in upscaled: a.jpg (not a result of "
        "runware-ws); add --overwrite, or choose another --out or --name\n"
    )
    assert size_of("upscaled/a.jpg") == (1, 1)
    assert not service.requests
    assert run("upscale", "in", *options, "--overwrite").status == 0
    assert size_of("upscaled/a.jpg") == (32, 24)


def test_without_a_terminal_a_second_run_is_refused_unless_it_is_told_what_to_do(
    service: Emulator,
) -> None:
    make_images("abc")
    assert run("upscale", "in").status == 0
    refused = run("upscale", "in")
    assert refused.status == 2
    assert "3 of 3 results would overwrite files" in refused.stderr
    assert "add --skip-existing to keep those that are up to date, or --overwrite" in refused.stderr
    assert upscaled(service) == 3
    assert run("upscale", "in", "--overwrite").status == 0
    assert upscaled(service) == 6


@pytest.mark.long
@unix
@pytest.mark.parametrize(
    ("keys", "status", "sent", "shown"),
    [
        ("y\n", 0, 3, "3 images upscaled"),
        ("skip\n", 0, 1, "1 already done, at no cost; 1 skipped"),
        ("n\n", 2, 0, "error: nothing was sent"),
        ("\n", 2, 0, "error: nothing was sent"),
        ("\x04", 2, 0, "error: nothing was sent"),  # Ctrl-D
    ],
)
def test_on_a_terminal_the_user_is_asked(
    service: Emulator, start: Start, *, keys: str, status: int, sent: int, shown: str
) -> None:
    make_images("a")
    assert run("upscale", "in").status == 0
    make_images("bc")
    make_image("upscaled/b.jpg", (1, 1))
    done = on_terminal(start, "upscale", "in", keys=keys)
    assert done.status == status
    assert "2 of 3 results would overwrite files in upscaled:" in done.stdout
    assert "  a.jpg (up to date)" in done.stdout
    assert "  b.jpg (not a result of runware-ws)" in done.stdout
    assert shown in done.stdout
    assert upscaled(service) == 1 + sent


@pytest.mark.long
@unix
@pytest.mark.usefixtures("service")
def test_ctrl_c_answers_the_question(start: Start) -> None:
    import os
    import pty

    make_image("in/a.jpg")
    assert run("upscale", "in").status == 0
    reading, writing = pty.openpty()
    streams = {"stdin": writing, "stdout": writing, "stderr": writing}
    process = start("upscale", "in", **streams)
    os.close(writing)
    shown = b""
    while b"[N]o: " not in shown:
        shown += os.read(reading, 4096)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 128 + signal.SIGINT
    os.close(reading)


def test_results_of_a_whole_tree_are_skipped(service: Emulator) -> None:
    for name in ("a.jpg", "sub/a.jpg", "sub/deep/a.jpg"):
        make_image(f"in/{name}")
    command = ("upscale", "in", "--recursive", "--skip-existing")
    assert run(*command).status == 0
    Path("upscaled/sub/a.jpg").unlink()
    assert run(*command).status == 0
    assert upscaled(service) == 4
