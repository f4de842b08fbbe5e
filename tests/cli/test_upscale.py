"""Test the command ``upscale`` on an emulator, through real sockets."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runware_ws.emulator import Emulator
from tests.cli.conftest import (
    Start,
    has_full_device,
    make_image,
    make_images,
    run,
    run_python,
    set_service,
    size_of,
    unix,
    wait,
)
from tests.journal.files import unprivileged

pytestmark = pytest.mark.usefixtures("folder")


def test_one_command_upscales_a_folder_on_its_own_emulator() -> None:
    make_image("in/a.png", (8, 6))
    make_image("in/b.jpg", (5, 5))
    done = run("upscale", "in", "--emulator", "--out", "out")
    assert done.status == 0
    assert size_of("out/a.jpg") == (32, 24)
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
    assert size_of("upscaled/a.png") == (16, 12)
    (task,) = [one.task for one in service.requests if one.task["taskType"] == "upscale"]
    assert task["upscaleFactor"] == 2
    assert task["outputFormat"] == "PNG"
    assert task["outputQuality"] == 30
    assert task["deliveryMethod"] == "async"


@pytest.mark.usefixtures("service")
def test_a_json_line_holds_all_that_is_known_of_an_image() -> None:
    make_image("in/a.jpg")
    Path("in/b.jpg").write_bytes(b"no image")
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
    Path("broken.jpg").write_bytes(b"no image")
    make_image("whole.jpg")
    done = run("upscale", "broken.jpg", "whole.jpg", "https://[not-a-host/a.jpg")
    assert done.status == 1
    assert "failed: broken.jpg: Invalid image" in done.stderr
    assert "failed: https://[not-a-host/a.jpg: " in done.stderr
    assert "2 failed" in done.stderr
    assert Path("upscaled/whole.jpg").exists()


@pytest.mark.usefixtures("service")
def test_an_image_whose_result_cannot_be_saved_has_failed() -> None:
    make_image("in/a.jpg")
    make_image("in/sub/b.jpg")
    Path("out").mkdir()
    Path("out/sub").touch()  # where a folder is needed
    result = run("upscale", "in", "--recursive", "--out", "out", "--json")
    done, failed = result.objects
    assert result.status == 1
    assert done["output"] == str(Path("out/a.jpg"))
    assert failed["error"]["type"] in ("FileExistsError", "NotADirectoryError")
    assert failed["cost"] == 0.0013  # it was upscaled all the same
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.jpg", "sub"]


@pytest.mark.usefixtures("service")
def test_images_of_one_name_do_not_overwrite_each_other() -> None:
    make_image("a/photo.jpg", (4, 4))
    make_image("b/photo.jpg", (6, 6))
    make_image("b/photo.png", (8, 8))
    assert run("upscale", "a/photo.jpg", "b", "--factor", "2").status == 0
    sizes = {path.name: size_of(path)[0] for path in Path("upscaled").iterdir()}
    assert sizes == {"photo.jpg": 8, "photo-2.jpg": 12, "photo-3.jpg": 16}


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
    assert len(list(Path("upscaled").iterdir())) == 40


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
        ([], "Missing argument 'IMAGES' (see runware-ws upscale --help)"),
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
    """An emulator that finishes no image while a test runs."""
    with Emulator(latency=600) as emulator:
        set_service(emulator, monkeypatch)
        yield emulator


def start_in_flight(start: Start, *options: str) -> subprocess.Popen[str]:
    """Start the command, and return when images are in flight.

    The fourth image is empty and fails at once, after three others were sent.
    """
    make_images("abcefg")
    Path("in/d.jpg").touch()
    process = start("upscale", "in", "--json", "--max-in-flight", "4", *options)
    assert process.stdout is not None
    assert '"in/d.jpg"' in process.stdout.readline()
    return process


@unix
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_and_names_the_images_in_flight(
    slow: Emulator, start: Start, number: signal.Signals, status: int
) -> None:
    process = start_in_flight(start)
    process.send_signal(number)
    done = wait(process)
    assert done.status == status
    assert "Traceback" not in done.stderr
    assert "0 images upscaled" in done.stderr
    assert "the service may still finish and bill" in done.stderr
    assert "not started" in done.stderr
    interrupted = [one for one in done.objects if one["error"]["type"] == "InterruptedByUser"]
    assert [one["source"] for one in interrupted][:3] == ["in/a.jpg", "in/b.jpg", "in/c.jpg"]
    sent = {one.task["taskUUID"] for one in slow.requests if one.task["taskType"] == "upscale"}
    assert sent <= {one["task_uuid"] for one in interrupted}
    assert f"interrupted: in/a.jpg (taskUUID {interrupted[0]['task_uuid']})" in done.stderr


def test_a_connection_that_stays_away_ends_the_command(slow: Emulator, start: Start) -> None:
    process = start_in_flight(start, "--max-reconnect-time", "0")
    slow.stop()
    done = wait(process)
    assert done.status == 1
    assert [one["source"] for one in done.objects] == [f"in/{name}.jpg" for name in "abcefg"]
    assert {one["error"]["type"] for one in done.objects} == {"ConnectionLostError"}
    assert "failed: in/a.jpg: no connection" in done.stderr
    assert "not sent, the connection was lost" in done.stderr
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
    assert len(list(Path("upscaled").iterdir())) == 5


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
    assert len(list(Path("upscaled").iterdir())) == 3


def shown_on_terminal(start: Start, kind: str) -> str:
    """Return what a terminal shows when one image is upscaled and one fails."""
    import pty

    make_image("in/a.jpg")
    Path("in/b.jpg").write_bytes(b"no image")
    reading, writing = pty.openpty()
    environment = {**os.environ, "COLUMNS": "200", "TERM": kind}
    process = start("upscale", "in", stdout=writing, stderr=writing, env=environment)
    os.close(writing)
    shown = b""
    try:
        while chunk := os.read(reading, 65536):
            shown += chunk
    except OSError:  # how Linux reports that the other side is closed
        pass
    finally:
        os.close(reading)
    assert process.wait() == 1
    return shown.decode()


@unix
@pytest.mark.usefixtures("service")
def test_a_terminal_shows_a_bar(start: Start) -> None:
    text = shown_on_terminal(start, "xterm")
    for part in ("1 done", "1 failed", "0 in flight", "images/s", "$0.0013", "results: "):
        assert part in text
    assert "failed: in/b.jpg: Invalid image" in text
    assert " -> " not in text


@unix
@pytest.mark.usefixtures("service")
def test_a_terminal_that_cannot_draw_a_bar_shows_lines(start: Start) -> None:
    text = shown_on_terminal(start, "dumb")
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
