"""What stands in two places stands there alike."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import runware_ws._version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins(text: str, operator: str) -> dict[str, str]:
    """The version of each requirement in the text, one a line, that has the operator."""
    found = re.findall(rf"^([a-z-]+)(?:\[[a-z,]+\])?{operator}([\d.]+)$", text, re.MULTILINE)
    return dict(found)


def test_the_lowest_versions_that_are_tested_are_the_floors_of_the_project() -> None:
    asked = [*PROJECT["dependencies"], *EXTRAS["cli"], *EXTRAS["http"], *EXTRAS["emulator"]]
    tested = pins((ROOT / ".ci/lowest.txt").read_text(encoding="utf-8"), "==")
    assert pins("\n".join(asked), ">=") == {
        name: floor for name, floor in tested.items() if name != "click"
    }


def test_the_lowest_versions_for_trio_that_are_tested_are_the_floors_of_that_extra() -> None:
    script = (ROOT / ".ci/lowest").read_text(encoding="utf-8")
    tested = pins(script.replace(" ", "\n"), "==")
    floors = pins("\n".join(EXTRAS["trio"]), ">=")
    assert floors.pop("anyio") == pins("\n".join(PROJECT["dependencies"]), ">=")["anyio"]
    assert tested == floors


def test_every_extra_for_use_is_in_all() -> None:
    (everything,) = EXTRAS["all"]
    listed = set(everything.removeprefix("runware-ws[").removesuffix("]").split(","))
    assert listed == set(EXTRAS) - {"all", "dev"}


def test_the_version_installed_is_the_one_written_down() -> None:
    assert version("runware-ws") == runware_ws._version.__version__


def test_the_readme_opens_with_the_two_commands_each_on_a_line_of_its_own() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    upscale, test = (block.splitlines() for block in blocks[:2])
    assert len(upscale) == len(test) == 1
    assert upscale[0].startswith("python3 -m venv .venv && ")
    assert test[0].startswith("python3 -m venv .venv && ")


def run(program: str) -> str:
    """What a fresh interpreter prints that runs this."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_it_is_imported_where_processes_do_not_fork() -> None:
    program = "import os; del os.fork, os.register_at_fork; import runware_ws; print('fine')"
    assert run(program) == "fine\n"


def test_without_its_extra_a_client_on_trio_is_refused_and_told_of_it() -> None:
    pytest.importorskip("trio")
    program = """
import sys, anyio, runware_ws
sys.modules["websockets.trio.client"] = None
async def main():
    try:
        await runware_ws.RunwareClient("a key", url="ws://127.0.0.1:1/v1").connect()
    except runware_ws.MissingExtraError as error:
        print(error)
anyio.run(main, backend="trio")
"""
    assert run(program) == 'the client on trio needs an extra: pip install "runware-ws[trio]"\n'
