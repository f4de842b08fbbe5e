"""Test that the API key comes from the environment, and is in no output."""

from __future__ import annotations

import pytest

from runware_ws.emulator import Emulator
from tests.cli.conftest import make_image, run, run_python

KEY = "this-is-the-key-that-nobody-may-see"


@pytest.fixture(autouse=True)
def _set_key(folder: object, monkeypatch: pytest.MonkeyPatch) -> None:
    make_image("a.jpg")
    monkeypatch.setenv("RUNWARE_API_KEY", KEY)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_key_that_is_accepted_is_not_shown(options: list[str]) -> None:
    with Emulator(api_key=KEY) as emulator:
        done = run("upscale", "a.jpg", "--url", emulator.url, *options)
    assert done.status == 0
    assert KEY not in done.output


@pytest.mark.parametrize("command", [["upscale", "a.jpg"], ["ping"]])
def test_a_key_that_is_refused_is_reported_and_not_shown(command: list[str]) -> None:
    with Emulator() as emulator:
        done = run(*command, "--url", emulator.url)
    assert done.status == 2
    assert done.stderr.startswith("error: the service refused the API key: ")
    assert "RUNWARE_API_KEY" in done.stderr
    assert done.stderr.count("\n") == 1
    assert KEY not in done.output


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
def test_the_key_is_in_no_help_and_no_error_message(arguments: list[str]) -> None:
    assert KEY not in run(*arguments).output


@pytest.mark.parametrize("option", [["--api-key", KEY], [f"--api-key={KEY}"], ["--key", KEY]])
def test_the_key_is_not_accepted_on_the_command_line(option: list[str]) -> None:
    done = run("upscale", "a.jpg", *option)
    assert done.status == 2
    assert "RUNWARE_API_KEY" in done.stderr
    assert KEY not in done.output


def test_the_key_is_in_no_traceback() -> None:
    code = """
import logging
logging.basicConfig(level=logging.DEBUG)
from runware_ws.cli import main
from runware_ws.cli.batch import Batch
async def broken(self): raise RuntimeError("a bug")
Batch.run = broken
main()
"""
    with Emulator(api_key=KEY) as emulator:
        done = run_python(code, "upscale", "a.jpg", "--url", emulator.url)
    assert "RuntimeError: a bug" in done.stderr
    assert KEY not in done.output


def test_without_a_key_one_line_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNWARE_API_KEY")
    done = run("upscale", "a.jpg")
    assert done.status == 2
    assert done.stderr.startswith("error: RUNWARE_API_KEY is missing; ")
    for remedy in ("https://my.runware.ai/keys", "export RUNWARE_API_KEY=", "--emulator"):
        assert remedy in done.stderr
    assert done.stderr.count("\n") == 1
