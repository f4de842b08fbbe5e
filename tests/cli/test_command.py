"""`runware-ws` itself, `ping` and `emulate`, and what none of them ever shows."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from runware_ws import __version__
from runware_ws.emulator import Emulator
from runware_ws.protocol.request import member_named
from tests.cli.conftest import Start, end, picture, python, run

KEY = "this-is-the-key-that-nobody-may-see"
MAIN = "from runware_ws.cli import main\nmain()"


def test_help_shows_examples_and_exit_status() -> None:
    assert "runware-ws upscale photo.jpg --emulator" in run("--help").stdout
    shown = run("upscale", "--help").stdout
    assert "Exit status" in shown
    assert "runware-ws upscale photos/ --json" in shown


def test_help_takes_limits_and_descriptions_from_the_table_of_members() -> None:
    shown = " ".join(run("upscale", "--help").stdout.replace("│", " ").split())
    for text in ("2|4", "JPG|PNG|WEBP", "20-99", "sync|async"):
        assert text in shown
    for wire in ("upscaleFactor", "outputFormat", "outputQuality"):
        member = member_named(wire)
        assert member is not None
        assert member.description in shown


def test_help_loads_nothing_that_it_does_not_need() -> None:
    code = f"""
import sys
try:
    {MAIN.replace(chr(10), "; ")}
finally:
    print(sorted({{"httpx", "uvicorn", "starlette", "PIL", "trio"}} & set(sys.modules)))
"""
    assert python(code, "upscale", "--help").stdout.splitlines()[-1] == "[]"


def test_the_version_is_told() -> None:
    assert run("--version").stdout == f"runware-ws {__version__}\n"


def test_the_package_is_a_command_too(start: Start) -> None:
    assert end(start("--version")).stdout == f"runware-ws {__version__}\n"


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_cli_it_says_what_to_install(missing: str) -> None:
    ended = python(f"import sys; sys.modules[{missing!r}] = None\n{MAIN}", "--help")
    assert ended.status == 1
    assert ended.stderr == 'runware-ws needs an extra: pip install "runware-ws[cli]"\n'


@pytest.mark.usefixtures("use")
def test_ping_tells_each_round_trip() -> None:
    ended = run("ping", "--count", "3", "--interval", "0")
    assert ended.status == 0
    lines = ended.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[1:4]] == ["ping 1", "ping 2", "ping 3"]
    assert lines[4].startswith("fastest ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no device that is always full")
@pytest.mark.usefixtures("use")
@pytest.mark.parametrize("words", ["ping", "emulate --port 0", "--version", "--help"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_on_a_full_device_there_is_one_line(
    start: Start, monkeypatch: pytest.MonkeyPatch, words: str, unbuffered: str
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with Path("/dev/full").open("w") as full:
        process = start(*words.split(), stdout=full)
    assert process.stderr is not None
    complaint = "error: cannot write to the standard output: No space left on device\n"
    assert process.stderr.read() == complaint
    assert process.wait() == 1


def test_ping_needs_no_key_with_an_emulator() -> None:
    assert run("ping", "--count", "1", "--emulator").status == 0
    assert run("ping", "--count", "1").status == 2


def test_a_refused_key_is_told(use: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWARE_API_KEY", KEY)
    ended = run("ping")
    assert ended.status == 2
    assert "error: the service refused the API key" in ended.stderr


def test_an_emulator_says_how_to_use_it_and_can_be_used(
    start: Start, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    process = start("emulate", "--port", "0", "--key", "a key", "--cost", "0.5")
    assert process.stdout is not None
    exports = {}
    for line in process.stdout:
        if line.startswith("  export "):
            name, _, value = line.removeprefix("  export ").strip().partition("=")
            exports[name] = value
        if len(exports) == 2:
            break
    assert exports["RUNWARE_API_KEY"] == "'a key'"
    monkeypatch.setenv("RUNWARE_URL", exports["RUNWARE_URL"])
    monkeypatch.setenv("RUNWARE_API_KEY", "a key")
    picture(folder / "a.jpg")
    assert json.loads(run("upscale", "a.jpg", "--json").stdout)["cost"] == 0.5
    process.terminate()
    ended = end(process)
    if sys.platform != "win32":
        assert ended.status == 0
        assert ended.stdout == "\nstopped; images upscaled: 1\n"
    assert ended.stderr == ""


def test_an_emulator_on_all_addresses_says_one_that_can_be_used(start: Start) -> None:
    process = start("emulate", "--host", "0.0.0.0", "--port", "0")
    assert process.stdout is not None
    line = next(line for line in process.stdout if "export RUNWARE_URL=" in line)
    assert line.startswith("  export RUNWARE_URL=ws://127.0.0.1:")


@pytest.mark.parametrize(("option", "form"), [([], "object"), (["--upload-array"], "array")])
def test_the_form_of_an_answered_upload_is_an_option(
    option: list[str], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}

    async def emulate(*_: object, **settings: object) -> int:
        given.update(settings)
        return 0

    monkeypatch.setattr("runware_ws.cli.app.emulate_until_stopped", emulate)
    assert run("emulate", *option).status == 0
    assert given["upload_data"] == form


def test_an_emulator_takes_no_key_that_no_client_could_send() -> None:
    ended = run("emulate", "--port", "0", "--key", "")
    assert ended.status == 2
    assert "error: --key: is empty" in ended.stderr


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("emulate", "--port", str(port))
    assert ended.status == 2
    assert f"error: cannot listen on 127.0.0.1, port {port}: " in ended.stderr


class TestTheKey:
    """It is in the environment, and in no output."""

    @pytest.fixture(autouse=True)
    def _set(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        picture(folder / "a.jpg")
        monkeypatch.setenv("RUNWARE_API_KEY", KEY)

    def test_is_accepted_and_not_shown(self, start: Start) -> None:
        with Emulator(api_key=KEY) as emulator:
            for options in ([], ["--json"]):
                ended = end(start("upscale", "a.jpg", "--url", emulator.url, *options))
                assert ended.status == 0
                assert KEY not in ended.output

    def test_is_refused_and_not_shown(self, start: Start, emulator: Emulator) -> None:
        ended = end(start("upscale", "a.jpg", "--url", emulator.url))
        assert ended.status == 2
        assert KEY not in ended.output

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--help"],
            ["upscale", "--help"],
            ["upscale", "a.jpg", "--quality", "1"],
            ["upscale", "a.jpg", "--url", "ws://example.com"],
            ["emulate", "--port", "-1"],
        ],
    )
    def test_is_in_no_help_and_no_complaint(self, arguments: list[str]) -> None:
        assert KEY not in run(*arguments).output

    @pytest.mark.parametrize("option", [["--api-key", KEY], [f"--api-key={KEY}"], ["--key", KEY]])
    def test_is_not_taken_from_the_command_line(self, option: list[str]) -> None:
        ended = run("upscale", "a.jpg", *option)
        assert ended.status == 2
        assert "RUNWARE_API_KEY" in ended.stderr
        assert KEY not in ended.output

    def test_is_in_no_traceback(self) -> None:
        code = f"""
import logging
logging.basicConfig(level=logging.DEBUG)
from runware_ws.cli.batch import Batch
async def broken(self, options): raise RuntimeError("a bug")
Batch.run = broken
{MAIN}
"""
        with Emulator(api_key=KEY) as emulator:
            ended = python(code, "upscale", "a.jpg", "--url", emulator.url)
        assert "RuntimeError: a bug" in ended.stderr
        assert KEY not in ended.output
