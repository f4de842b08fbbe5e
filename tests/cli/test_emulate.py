"""The command ``emulate``."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path
from subprocess import Popen

import pytest

from runware_ws.cli.emulate import EmulateArguments, instructions
from runware_ws.emulator import Emulator
from tests.cli.conftest import Start, make_image, run, wait

SCRIPT = """
seed = 7
[[faults]]
kind = "refuse"
nth = 1
[[faults]]
kind = "drop"
nth = 2
how = "reset"
"""


def read_until(process: Popen[str], pattern: str) -> str:
    """Return what the process prints up to the first line that matches."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if re.match(pattern, line):
            break
    return text


def set_environment(printed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in re.findall(r"^  export (\w+)='?([^'\n]*)'?$", printed, re.MULTILINE):
        monkeypatch.setenv(name, value)


def test_an_emulator_says_how_to_use_it_and_can_be_used(
    start: Start, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    process = start("emulate", "--port", "0", "--key", "a key", "--cost", "0.5")
    printed = read_until(process, "  export RUNWARE_API_KEY=")
    assert "export RUNWARE_API_KEY='a key'\n" in printed
    set_environment(printed, monkeypatch)
    make_image("a.jpg")
    assert run("upscale", "a.jpg", "--json").objects[0]["cost"] == 0.5
    process.terminate()
    done = wait(process)
    if sys.platform != "win32":
        assert done.status == 0
        assert done.stdout == "\nstopped; images upscaled: 1\n"
    assert done.stderr == ""


def test_an_emulator_on_all_addresses_names_one_that_clients_can_connect_to() -> None:
    text = instructions(Emulator("0.0.0.0", 8765), "0.0.0.0")
    assert "  export RUNWARE_URL=ws://127.0.0.1:8765/v1" in text
    assert "--allow-insecure" in text
    assert "--allow-insecure" not in instructions(Emulator(), "127.0.0.1")


def test_the_form_of_an_answered_upload_is_an_option() -> None:
    assert EmulateArguments().settings()["rules"].upload_data == "object"
    assert EmulateArguments(upload_array=True).settings()["rules"].upload_data == "array"


@pytest.mark.parametrize("option", ["--key", "--host"])
def test_a_key_or_host_that_no_client_could_use_is_refused(option: str) -> None:
    done = run("emulate", "--port", "0", option, " ")
    assert done.status == 2
    assert done.stderr.startswith(f"error: {option}: is empty")


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("emulate", "--port", str(port))
    assert done.status == 2
    assert done.stderr.startswith(f"error: cannot listen on 127.0.0.1, port {port}: ")
    assert "--port" in done.stderr


def test_faults_come_from_a_file_and_from_the_command_line(
    start: Start, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    Path("faults.toml").write_text(SCRIPT)
    line = "fail nth=3 code=serviceUnavailable"
    process = start("emulate", "--port", "0", "--faults", "faults.toml", "--fault", line)
    printed = read_until(process, "faults:")
    assert printed.endswith("\nfaults: 3, drawn from seed 7\n")
    set_environment(printed, monkeypatch)
    for number in range(6):
        make_image(f"in/{number}.jpg")
    done = run("upscale", "in", "--json")
    assert [one["error"] for one in done.objects] == [None] * 6
    process.terminate()
    ended = wait(process)
    if sys.platform != "win32":
        assert ended.stdout.endswith("\nfaults: refuse 1, drop 1, fail 1\n")
    assert ended.stderr == ""


def test_the_seed_of_the_command_line_replaces_that_of_the_script(folder: Path) -> None:
    Path("faults.toml").write_text(SCRIPT)
    assert EmulateArguments(faults=Path("faults.toml")).settings()["seed"] == 7
    assert EmulateArguments(faults=Path("faults.toml"), seed=0).settings()["seed"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--fault", "dorp"],
            "error: --fault: fault 'dorp', kind: 'dorp' is unknown; did you mean drop?",
        ),
        (["--fault", "drop nth=0"], "error: --fault: fault 'drop nth=0', nth: 0 is not allowed"),
        (["--faults", "wrong.toml"], "error: --faults: wrong.toml: fault 1, nhtx: is unknown"),
        (["--faults", "none.toml"], "error: --faults: none.toml: cannot be read"),
    ],
)
def test_a_wrong_fault_is_named_before_anything_starts(
    folder: Path, arguments: list[str], message: str
) -> None:
    Path("wrong.toml").write_text("[[faults]]\nkind = 'drop'\nnhtx = 3")
    done = run("emulate", *arguments)
    assert done.status == 2
    assert done.stderr.startswith(message)
    assert done.stdout == ""
