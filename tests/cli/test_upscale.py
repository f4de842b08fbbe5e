"""`runware-ws upscale`, on a real emulator through real sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runware_ws.cli import connect
from runware_ws.emulator import Emulator
from tests.cli.conftest import Start, end, picture, python, run, size_of
from tests.journal.files import unprivileged

pytestmark = pytest.mark.usefixtures("folder")
unix = pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")


def test_one_command_upscales_a_folder_on_its_own_emulator() -> None:
    picture(Path("in/a.png"), (8, 6))
    picture(Path("in/b.jpg"), (5, 5))
    ended = run("upscale", "in", "--emulator", "--out", "out")
    assert ended.status == 0
    assert size_of(Path("out/a.jpg")) == (32, 24)
    assert size_of(Path("out/b.jpg")) == (20, 20)
    assert "Lanczos stands in for the model" in ended.stderr
    assert f"results: {Path('out').resolve()}" in ended.stderr


@pytest.mark.usefixtures("use")
def test_a_pipe_gets_one_line_for_each_image_and_nothing_else() -> None:
    for name in "abc":
        picture(Path(f"in/{name}.jpg"))
    ended = run("upscale", "in")
    lines = sorted(ended.stdout.splitlines())
    assert [line.split(" (")[0] for line in lines] == [
        f"in/{name}.jpg -> upscaled/{name}.jpg" for name in "abc"
    ]
    assert "3 images upscaled" in ended.stderr


def test_options_reach_the_service(use: Emulator) -> None:
    picture(Path("a.jpg"))
    options = ("--factor", "2", "--format", "png", "--quality", "30", "--delivery", "async")
    assert run("upscale", "a.jpg", *options).status == 0
    assert size_of(Path("upscaled/a.png")) == (16, 12)
    request = next(one for one in use.requests if one.task["taskType"] == "upscale").task
    assert request["upscaleFactor"] == 2
    assert request["outputFormat"] == "PNG"
    assert request["outputQuality"] == 30
    assert request["deliveryMethod"] == "async"


@pytest.mark.usefixtures("use")
def test_json_lines_tell_all_of_each_image_and_nothing_else() -> None:
    picture(Path("in/a.jpg"))
    Path("in/b.jpg").write_bytes(b"no image")
    Path("in/c.jpg").touch()
    ended = run("upscale", "in", "--json")
    done, refused, unread = ended.objects
    assert ended.status == 1
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


@pytest.mark.usefixtures("use")
def test_a_failed_image_is_named_with_its_reason_and_the_rest_goes_on() -> None:
    Path("broken.jpg").write_bytes(b"no image")
    picture(Path("whole.jpg"))
    ended = run("upscale", "broken.jpg", "whole.jpg")
    assert ended.status == 1
    assert "failed: broken.jpg: Invalid image" in ended.stderr
    assert "1 failed" in ended.stderr
    assert Path("upscaled/whole.jpg").exists()


@pytest.mark.usefixtures("use")
def test_a_result_that_cannot_be_saved_is_a_failed_image() -> None:
    picture(Path("in/a.jpg"))
    picture(Path("in/sub/b.jpg"))
    Path("out").mkdir()
    Path("out/sub").touch()  # where a folder is needed
    ended = run("upscale", "in", "--recursive", "--out", "out", "--json")
    done, failed = ended.objects
    assert ended.status == 1
    assert done["output"] == str(Path("out/a.jpg"))
    assert failed["error"]["type"] in ("FileExistsError", "NotADirectoryError")
    assert failed["cost"] == 0.0013  # it was upscaled all the same
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.jpg", "sub"]


@pytest.mark.usefixtures("use")
def test_two_images_of_one_name_do_not_overwrite_one_another() -> None:
    picture(Path("a/photo.jpg"), (4, 4))
    picture(Path("b/photo.jpg"), (6, 6))
    picture(Path("b/photo.png"), (8, 8))
    assert run("upscale", "a/photo.jpg", "b", "--factor", "2").status == 0
    sizes = {path.name: size_of(path)[0] for path in Path("upscaled").iterdir()}
    assert sizes == {"photo.jpg": 8, "photo-2.jpg": 12, "photo-3.jpg": 16}


def test_a_url_is_given_to_the_service_as_it_is(use: Emulator) -> None:
    url = f"{use.http_url}/image/nothing.jpg"
    ended = run("upscale", url)
    assert ended.status == 1
    assert f"failed: {url}: " in ended.stderr
    assert any(one.task.get("inputs") == {"image": url} for one in use.requests)


@pytest.mark.usefixtures("use")
def test_more_images_than_may_be_under_way_all_get_done() -> None:
    for number in range(40):
        picture(Path(f"in/{number}.jpg"), (2, 2))
    ended = run("upscale", "in", "--max-in-flight", "3", "--json")
    assert ended.status == 0
    assert len(ended.objects) == 40
    assert len(list(Path("upscaled").iterdir())) == 40


@pytest.mark.usefixtures("use")
def test_a_name_cannot_break_the_line_nor_the_terminal() -> None:
    picture(Path("in/two\nlines \x1b[31m.jpg"))
    ended = run("upscale", "in")
    assert ended.status == 0
    assert ended.stdout.startswith(r"in/two lines \x1b[31m.jpg -> ")
    assert ended.stdout.count("\n") == 1


@pytest.mark.usefixtures("use")
def test_a_name_that_the_output_cannot_encode_is_spelled_out(start: Start) -> None:
    picture(Path("\u00e9.jpg"))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = end(start("upscale", "\u00e9.jpg", env=environment))
    assert ended.status == 0
    assert ended.stdout.startswith(r"\xe9.jpg -> ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
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
        (["a.jpg", "--out", "."], "lies in the output folder"),
        (["a.jpg", "--out", "a.jpg/out"], "--out: a.jpg/out: Not a directory"),
        (["empty"], "no image found"),
        ([""], "an image is given as an empty text; give a file, a folder or a URL"),
        (["a.jpg", "--no-such-option"], "No such option"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
    use: Emulator, arguments: list[str], complaint: str
) -> None:
    picture(Path("a.jpg"))
    Path("empty").mkdir()
    ended = run("upscale", *arguments)
    assert complaint in ended.stderr
    assert ended.status == 2
    assert ended.stdout == ""
    assert not use.executions


@unix
def test_results_that_could_not_be_saved_are_not_asked_for(
    use: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unprivileged() as folder:
        monkeypatch.chdir(folder)
        picture(Path("a.jpg"))
        Path("out").mkdir(mode=0o500)
        ended = run("upscale", "a.jpg", "--out", "out")
        monkeypatch.undo()
    assert "--out: out cannot be written to: Permission denied; choose another" in ended.stderr
    assert ended.status == 2
    assert not use.requests


def test_without_a_key_it_says_how_to_get_one() -> None:
    picture(Path("a.jpg"))
    ended = run("upscale", "a.jpg")
    assert ended.status == 2
    assert "https://my.runware.ai/keys" in ended.stderr
    assert "export RUNWARE_API_KEY=" in ended.stderr
    assert "--emulator" in ended.stderr
    assert not Path("upscaled").exists()


def test_a_server_that_is_not_there_is_told_in_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connect, "STARTING_TIME", 0.05)
    monkeypatch.setenv("RUNWARE_API_KEY", "some-key")
    picture(Path("a.jpg"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"ws://127.0.0.1:{taken.getsockname()[1]}/v1"
    ended = run("upscale", "a.jpg", "--url", url.replace("//", "//me:secret@") + "?token=secret")
    assert ended.status == 1
    assert "secret" not in ended.output
    assert f"error: cannot connect to {url}: ConnectionRefusedError" in ended.stderr
    assert "no connection: ConnectionRefusedError" in ended.stderr


def under_way(start: Start, emulator: Emulator, *options: str) -> subprocess.Popen[str]:
    """The command with some images under way: an empty one, which fails at once, has its turn
    after them."""
    for name in "abc":
        picture(Path(f"in/{name}.jpg"))
    Path("in/d.jpg").touch()
    for name in "efg":
        picture(Path(f"in/{name}.jpg"))
    process = start("upscale", "in", "--json", "--max-in-flight", "4", *options)
    assert process.stdout is not None
    assert '"in/d.jpg"' in process.stdout.readline()
    return process


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator that takes longer for an image than a test may."""
    with Emulator(latency=600) as emulator:
        monkeypatch.setenv("RUNWARE_URL", emulator.url)
        monkeypatch.setenv("RUNWARE_API_KEY", emulator.api_key)
        yield emulator


@unix
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_says_what_was_done_and_what_was_given_up(
    slow: Emulator, start: Start, number: signal.Signals, status: int
) -> None:
    process = under_way(start, slow)
    process.send_signal(number)
    ended = end(process)
    assert ended.status == status
    assert "Traceback" not in ended.stderr
    assert "given up: in/a.jpg" in ended.stderr
    assert "0 images upscaled" in ended.stderr
    assert "not started" in ended.stderr
    given_up = [one for one in ended.objects if one["error"]["type"] == "InterruptedByUser"]
    assert [one["source"] for one in given_up][:3] == ["in/a.jpg", "in/b.jpg", "in/c.jpg"]
    sent = {one.task["taskUUID"] for one in slow.requests if one.task["taskType"] == "upscale"}
    assert sent <= {one["task_uuid"] for one in given_up}
    assert f"given up: in/a.jpg (taskUUID {given_up[0]['task_uuid']})" in ended.stderr


def test_a_connection_that_stays_away_ends_the_command(slow: Emulator, start: Start) -> None:
    process = under_way(start, slow, "--max-reconnect-time", "0")
    slow.stop()
    ended = end(process)
    assert ended.status == 1
    assert [one["source"] for one in ended.objects] == [f"in/{name}.jpg" for name in "abcefg"]
    assert {one["error"]["type"] for one in ended.objects} == {"ConnectionLostError"}
    assert "failed: in/a.jpg: no connection" in ended.stderr
    assert "not sent: the connection was lost" in ended.stderr
    assert "Traceback" not in ended.stderr


@unix
def test_a_reader_that_leaves_costs_no_image(use: Emulator, start: Start) -> None:
    for number in range(5):
        picture(Path(f"in/{number}.jpg"))
    process = start("upscale", "in")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    assert process.wait() == 0, errors
    assert "Traceback" not in errors
    assert len(list(Path("upscaled").iterdir())) == 5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no device that is always full")
@pytest.mark.usefixtures("use")
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_full_device_for_the_lines_costs_no_image(start: Start, option: list[str]) -> None:
    for name in "abc":
        picture(Path(f"in/{name}.jpg"))
    with Path("/dev/full").open("w") as full:
        process = start("upscale", "in", *option, stdout=full)
    assert process.stderr is not None
    errors = process.stderr.read()
    assert process.wait() == 1
    assert "Traceback" not in errors
    complaint = "error: cannot write to the standard output: No space left on device\n"
    assert errors.count(complaint) == 1
    assert len(list(Path("upscaled").iterdir())) == 3


def _shown_on_terminal(start: Start, kind: str) -> str:
    """What is seen when one image is upscaled and one fails."""
    import pty

    picture(Path("in/a.jpg"))
    Path("in/b.jpg").write_bytes(b"no image")
    reading, writing = pty.openpty()
    environment = {**os.environ, "COLUMNS": "200", "TERM": kind}
    process = start("upscale", "in", stdout=writing, stderr=writing, env=environment)
    os.close(writing)
    shown = b""
    try:
        while chunk := os.read(reading, 65536):
            shown += chunk
    except OSError:  # what Linux says when the other side is closed
        pass
    finally:
        os.close(reading)
    assert process.wait() == 1
    return shown.decode()


@unix
def test_a_terminal_gets_a_bar(use: Emulator, start: Start) -> None:
    text = _shown_on_terminal(start, "xterm")
    for part in ("1 done", "1 failed", "0 in flight", "images/s", "$0.0013", "results: "):
        assert part in text
    assert "failed: in/b.jpg: Invalid image" in text
    assert " -> " not in text


@unix
def test_a_terminal_that_cannot_draw_one_gets_lines(use: Emulator, start: Start) -> None:
    text = _shown_on_terminal(start, "dumb")
    assert "in/a.jpg -> upscaled/a.jpg" in text
    assert "failed: in/b.jpg: Invalid image" in text
    assert "\x1b" not in text


def test_without_the_extra_emulator_it_says_what_to_install() -> None:
    picture(Path("a.jpg"))
    code = "import sys; sys.modules['uvicorn'] = None\nfrom runware_ws.cli import main\nmain()"
    ended = python(code, "upscale", "a.jpg", "--emulator")
    assert ended.status == 2
    assert 'pip install "runware-ws[emulator]"' in ended.stderr
    assert "Traceback" not in ended.stderr
