"""Test the command ``upscale`` on an emulator, through real sockets."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Fail
from tests.cli.conftest import (
    Start,
    has_full_device,
    make_broken_image,
    make_image,
    make_images,
    on_terminal,
    results,
    run,
    run_python,
    set_service,
    size_of,
    unix,
    upscales_of,
    wait,
    wait_for_upscales,
)
from tests.journal.files import unprivileged

pytestmark = pytest.mark.usefixtures("folder")


def test_one_command_upscales_a_folder_on_its_own_emulator() -> None:
    make_image("in/a.png", (8, 6))
    make_image("in/b.jpg", (5, 5))
    done = run("upscale", "in", "--emulator", "--out", "out")
    assert done.status == 0
    assert size_of("out/a.png.jpg") == (32, 24)
    assert size_of("out/b.jpg") == (20, 20)
    assert "resampled with Lanczos" in done.stderr
    assert f"results: {Path('out').resolve()}" in done.stderr


@pytest.mark.usefixtures("service")
def test_a_pipe_gets_one_line_for_each_image_and_nothing_else() -> None:
    make_images("abc")
    done = run("upscale", "in")
    lines = sorted(done.stdout.splitlines())
    assert [line.split(" (")[0] for line in lines] == [
        f"in/{name}.jpg -> upscaled/{name}.jpg" for name in "abc"
    ]
    assert "3 images upscaled" in done.stderr


def test_options_reach_the_service(service: Emulator) -> None:
    make_image("a.jpg")
    options = ("--factor", "2", "--format", "png", "--quality", "30", "--delivery", "async")
    assert run("upscale", "a.jpg", *options).status == 0
    assert size_of("upscaled/a.jpg.png") == (16, 12)
    (task,) = [one.task for one in service.requests if one.task["taskType"] == "upscale"]
    assert task["upscaleFactor"] == 2
    assert task["outputFormat"] == "PNG"
    assert task["outputQuality"] == 30
    assert task["deliveryMethod"] == "async"


@pytest.mark.usefixtures("service")
def test_a_json_line_holds_all_that_is_known_of_an_image() -> None:
    make_image("in/a.jpg")
    make_broken_image("in/b.jpg")
    Path("in/c.jpg").touch()
    result = run("upscale", "in", "--json")
    done, refused, unread = result.objects
    assert result.status == 1
    assert done.pop("seconds") > 0
    assert len(done.pop("task_uuid")) == 36
    assert done == {
        "source": "in/a.jpg",
        "output": str(Path("upscaled/a.jpg")),
        "cost": 0.0013,
        "attempts": 1,
        "input_size": [8, 6],
        "output_size": [32, 24],
        "effective_scale": 4.0,
        "error": None,
    }
    assert refused["output"] is None
    assert refused["error"]["type"] == "ValidationError"
    assert refused["error"]["code"] == "invalidImage"
    assert refused["task_uuid"] in refused["error"]["message"]
    assert unread["error"]["type"] == "InputError"
    assert unread["task_uuid"] is None


@pytest.mark.usefixtures("service")
def test_an_image_that_fails_is_named_with_the_reason_and_the_others_are_upscaled() -> None:
    make_broken_image("broken.jpg")
    make_image("whole.jpg")
    done = run("upscale", "broken.jpg", "whole.jpg", "https://[not-a-host/a.jpg")
    assert done.status == 1
    assert "failed: broken.jpg: Invalid image" in done.stderr
    assert "failed: https://[not-a-host/a.jpg: " in done.stderr
    assert "2 failed" in done.stderr
    assert Path("upscaled/whole.jpg").exists()


def test_an_image_whose_result_has_no_place_is_not_sent(service: Emulator) -> None:
    make_image("in/a.jpg")
    make_image("in/sub/b.jpg")
    make_image("in/c.jpg")
    Path("upscaled/c.jpg").mkdir(parents=True)
    Path("upscaled/sub").touch()  # where a folder is needed
    done = run("upscale", "in", "--recursive")
    assert done.status == 1
    assert "failed: in/sub/b.jpg: its result sub/b.jpg cannot be written: Not a dir" in done.stderr
    assert "failed: in/c.jpg: its result c.jpg cannot be written: something that" in done.stderr
    assert size_of("upscaled/a.jpg") == (32, 24)
    assert len(service.executions) == 1


def test_a_url_is_passed_to_the_service_unchanged(service: Emulator) -> None:
    url = f"{service.http_url}/image/nothing.jpg"
    done = run("upscale", url)
    assert done.status == 1
    assert f"failed: {url}: " in done.stderr
    assert any(one.task.get("inputs") == {"image": url} for one in service.requests)


@pytest.mark.usefixtures("service")
def test_more_images_than_may_be_in_flight_are_all_upscaled() -> None:
    for number in range(40):
        make_image(f"in/{number}.jpg", (2, 2))
    done = run("upscale", "in", "--max-in-flight", "3", "--json")
    assert done.status == 0
    assert len(done.objects) == 40
    assert len(results()) == 40


@pytest.mark.usefixtures("service")
def test_a_file_name_cannot_break_the_line_nor_control_the_terminal() -> None:
    make_image("in/two\nlines \x1b[31m.jpg")
    done = run("upscale", "in")
    assert done.status == 0
    assert done.stdout.startswith(r"in/two lines \x1b[31m.jpg -> ")
    assert done.stdout.count("\n") == 1


@pytest.mark.usefixtures("service")
def test_a_file_name_that_the_output_cannot_encode_is_escaped(start: Start) -> None:
    make_image("\u00e9.jpg")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = wait(start("upscale", "\u00e9.jpg", env=environment))
    assert done.status == 0
    assert done.stdout.startswith(r"\xe9.jpg -> ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.jpg", "--factor", "3"], "--factor: 3 is not allowed; pass 2 or 4"),
        (["a.jpg", "--format", "gif"], "--format: 'GIF' is not allowed"),
        (["a.jpg", "--quality", "19"], "--quality: 19 is out of range; pass an integer from 20"),
        (["a.jpg", "--delivery", "fax"], "--delivery: 'fax' is not allowed"),
        (["a.jpg", "--max-in-flight", "0"], "--max-in-flight: 0 is out of range"),
        (["a.jpg", "--timeout", "-1"], "--timeout: -1.0 is out of range"),
        (["a.jpg", "--timeout", "0"], "pass a number of seconds greater than 0\n"),
        (["a.jpg", "--url", "http://localhost"], "--url (or RUNWARE_URL): is not a WebSocket URL"),
        (["a.jpg", "--url", "ws://10.1.2.3/v1"], "would send the key to 10.1.2.3 unencrypted"),
        (["a.jpg", "--url", "ws://10.1.2.3/v1"], "use wss://, or --allow-insecure on a network"),
        (["a.jpg", "--url", "ws://[::1]", "--emulator"], "exclude each other"),
        (["missing.jpg"], "missing.jpg: No such file or directory"),
        (["a.jpg", "--out", "."], "a.jpg is inside the output folder"),
        (
            ["a.jpg", "--out", "a.jpg/out"],
            "a.jpg cannot be written to: Not a directory; choose another",
        ),
        (["empty"], "IMAGES: no image found; give JPG, PNG or WEBP files"),
        ([""], "IMAGES: an argument is empty; give a file, a folder or a URL"),
        (["a.jpg", "--timeout", "soon"], "Invalid value for '--timeout'"),
        (["a.jpg", "--no-such-option"], "No such option: --no-such-option"),
        ([], "IMAGES: none given; give files, folders or URLs, or --files-from"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(
    service: Emulator, arguments: list[str], message: str
) -> None:
    make_image("a.jpg")
    Path("empty").mkdir()
    done = run("upscale", *arguments)
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.status == 2
    assert done.stdout == ""
    assert not service.executions


@unix
def test_an_output_folder_that_cannot_be_written_to_is_refused_before_anything_is_sent(
    service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unprivileged() as folder:
        monkeypatch.chdir(folder)
        make_image("a.jpg")
        Path("out").mkdir(mode=0o500)
        done = run("upscale", "a.jpg", "--out", "out")
        monkeypatch.undo()
    message = "error: --out: out cannot be written to: Permission denied; choose another folder\n"
    assert done.stderr == message
    assert done.status == 2
    assert not service.requests


def test_without_a_connection_no_output_folder_is_created() -> None:
    make_image("a.jpg")
    assert run("upscale", "a.jpg").status == 2
    assert not Path("upscaled").exists()


# Interruptions


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator that refuses the first image and finishes no other while a test runs."""
    refusal = Fail(of="request", nth=1, code="invalidParameter")
    with Emulator(latency=600, faults=[refusal]) as emulator:
        set_service(emulator, monkeypatch)
        yield emulator


def start_in_flight(service: Emulator, start: Start, *options: str) -> subprocess.Popen[str]:
    """Start the command, and return when the first image is refused and others are in flight."""
    make_images("abcdefg")
    process = start("upscale", "in", "--json", "--max-in-flight", "4", *options)
    assert process.stdout is not None
    assert '"in/a.jpg"' in process.stdout.readline()
    wait_for_upscales(service, 2)
    return process


@unix
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_and_names_the_images_in_flight(
    slow: Emulator, start: Start, number: signal.Signals, status: int
) -> None:
    process = start_in_flight(slow, start)
    process.send_signal(number)
    done = wait(process)
    assert done.status == status
    assert "Traceback" not in done.stderr
    assert "0 images upscaled" in done.stderr
    assert "the service may still finish and bill" in done.stderr
    assert "not started" in done.stderr
    interrupted = [one for one in done.objects if one["error"]["type"] == "Interrupted"]
    assert interrupted[0]["source"] == "in/b.jpg"
    sent = upscales_of(slow)
    assert sent <= {one["task_uuid"] for one in interrupted}
    assert f"interrupted: in/b.jpg (taskUUID {interrupted[0]['task_uuid']})" in done.stderr


def test_a_connection_that_stays_away_ends_the_command(slow: Emulator, start: Start) -> None:
    process = start_in_flight(slow, start, "--max-reconnect-time", "0")
    slow.stop()
    done = wait(process)
    assert done.status == 1
    assert [one["source"] for one in done.objects] == [f"in/{name}.jpg" for name in "bcdefg"]
    assert {one["error"]["type"] for one in done.objects} == {"ConnectionLostError"}
    assert "failed: in/b.jpg: no connection" in done.stderr
    assert " not sent" in done.stderr
    assert "Traceback" not in done.stderr


# The standard output


@unix
@pytest.mark.usefixtures("service")
def test_a_reader_that_leaves_costs_no_image(start: Start) -> None:
    make_images("abcde")
    process = start("upscale", "in")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    assert process.wait() == 0, errors
    assert "Traceback" not in errors
    assert len(results()) == 5


@has_full_device
@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_device_for_the_lines_costs_no_image(start: Start, options: list[str]) -> None:
    make_images("abc")
    with Path("/dev/full").open("w") as full:
        done = wait(start("upscale", "in", *options, stdout=full))
    assert done.status == 1
    assert "Traceback" not in done.stderr
    message = "error: cannot write to the standard output: No space left on device\n"
    assert done.stderr.count(message) == 1
    assert len(results()) == 3


def one_of_two_shown(start: Start, kind: str) -> str:
    """Return what a terminal shows when one image is upscaled and one fails."""
    make_image("in/a.jpg")
    make_broken_image("in/b.jpg")
    done = on_terminal(start, "upscale", "in", columns=200, kind=kind)
    assert done.status == 1
    return done.stdout


@unix
@pytest.mark.usefixtures("service")
def test_a_terminal_shows_a_bar(start: Start) -> None:
    text = one_of_two_shown(start, "xterm")
    for part in ("2/2", "1 failed", "0 in flight", "images/s", "$0.0013", "0:00 left", "results: "):
        assert part in text
    assert "failed: in/b.jpg: Invalid image" in text
    assert " -> " not in text


@unix
@pytest.mark.usefixtures("service")
def test_a_terminal_that_cannot_draw_a_bar_shows_lines(start: Start) -> None:
    text = one_of_two_shown(start, "dumb")
    assert "in/a.jpg -> upscaled/a.jpg" in text
    assert "failed: in/b.jpg: Invalid image" in text
    assert "\x1b" not in text


def test_without_the_extra_emulator_the_error_says_what_to_install() -> None:
    make_image("a.jpg")
    code = "import sys; sys.modules['uvicorn'] = None\nfrom runware_ws.cli import main\nmain()"
    done = run_python(code, "upscale", "a.jpg", "--emulator")
    assert done.status == 2
    assert 'pip install "runware-ws[emulator]"' in done.stderr
    assert "Traceback" not in done.stderr
