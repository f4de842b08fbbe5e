"""The command ``emulate`` with faults: from a file, from the command line, and wrong ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Start, end, picture, run

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


def test_faults_come_from_a_file_and_from_the_command_line(
    start: Start, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    (folder / "faults.toml").write_text(SCRIPT)
    line = "fail nth=3 code=serviceUnavailable"
    process = start("emulate", "--port", "0", "--faults", "faults.toml", "--fault", line)
    assert process.stdout is not None
    for told in process.stdout:
        name, equals, value = told.strip().removeprefix("export ").partition("=")
        if equals:
            monkeypatch.setenv(name, value)
        if told.startswith("faults:"):
            assert told == "faults: 3, drawn from seed 7\n"
            break
    for n in range(6):
        picture(folder / f"{n}.jpg")
    lines = run("upscale", *(f"{n}.jpg" for n in range(6)), "--json").stdout.splitlines()
    assert all(json.loads(one)["error"] is None for one in lines)
    assert len(lines) == 6
    process.terminate()
    ended = end(process)
    if sys.platform != "win32":
        assert ended.stdout.endswith("\nfaults: refuse 1, drop 1, fail 1\n")
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--fault", "dorp"], "error: fault 'dorp', kind: 'dorp' is unknown; did you mean drop?"),
        (["--fault", "drop nth=0"], "error: fault 'drop nth=0', nth: 0 is not allowed"),
        (["--faults", "wrong.toml"], "error: wrong.toml: fault 1, nhtx: is unknown"),
        (["--faults", "none.toml"], "error: none.toml: cannot be read"),
    ],
)
def test_a_wrong_fault_is_told_before_anything_starts(
    folder: Path, arguments: list[Any], complaint: str
) -> None:
    (folder / "wrong.toml").write_text("[[faults]]\nkind = 'drop'\nnhtx = 3")
    ended = run("emulate", *arguments)
    assert ended.status == 2
    assert ended.stderr.startswith(complaint)
    assert ended.stdout == ""
