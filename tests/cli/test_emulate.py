"""Test the command ``emulate``."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path
from subprocess import Popen

import httpx
import pytest

from runware_ws.cli.emulate import EmulateArguments, instructions
from runware_ws.emulator import PRESETS, Emulator, Rules
from tests.cli.conftest import Start, make_image, run, wait
from tests.emulator.bench import upscale
from tests.emulator.sockets import PIXELS

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


@pytest.mark.parametrize("name", PRESETS)
def test_rules_have_names(name: str) -> None:
    assert EmulateArguments(rules=name).settings()["rules"] == PRESETS[name]


def test_rules_are_documented_ones_unless_others_are_given() -> None:
    assert EmulateArguments().settings()["rules"] == Rules() == PRESETS["documented"]


def test_rules_come_from_a_file_and_are_kept(start: Start, folder: Path) -> None:
    Path("rules.json").write_text('{"answer_type": "upscale", "conflict_delay": 1}')
    process = start("emulate", "--port", "0", "--key", "k", "--rules", "rules.json")
    printed = read_until(process, "rules:")
    assert printed.endswith("\nrules: rules.json\n")
    (url,) = re.findall("REST at (.*)", printed)
    with httpx.Client(trust_env=False, headers={"Authorization": "Bearer k"}) as http:
        answer = http.post(url, json=[upscale(PIXELS)])
    assert answer.json()["data"][0]["taskType"] == "upscale"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"replay": "twice"}', "replay: 'twice' is not allowed; give one of: after, before, none"),
        ('{"relpay": "none"}', "relpay: is not a rule; give one of: conflicts, "),
        ('["replay"]', 'is not an object; give one such as {"replay": "none"}'),
        ("{replay: none}", "is not JSON: "),
        (None, "cannot be read: "),
    ],
)
def test_wrong_rules_are_named_before_anything_starts(
    folder: Path, text: str | None, message: str
) -> None:
    if text is not None:
        Path("r.json").write_text(text)
    done = run("emulate", "--rules", "r.json")
    assert done.status == 2
    assert done.stderr.startswith(f"error: --rules: r.json: {message}")
    assert done.stdout == ""


def test_a_missing_file_of_rules_may_be_a_name_that_was_misspelled(folder: Path) -> None:
    done = run("emulate", "--rules", "wurst")
    assert "or one of: documented, sdk-1.8, aflow, worst" in done.stderr


def test_the_names_of_rules_are_in_the_help() -> None:
    text = " ".join(run("emulate", "--help").stdout.split())
    assert all(name in text for name in PRESETS)


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
