"""Test the command as a whole: help, version, exit statuses, error messages, standard output."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from runware_ws import __version__
from runware_ws.cli.errors import UsageError, error_message, one_line
from runware_ws.cli.exit_status import exit_with
from runware_ws.cli.options import as_command, option
from runware_ws.errors import (
    AuthenticationError,
    ConnectionLostError,
    InputError,
    JournalError,
    MissingExtraError,
    RunwareError,
)
from runware_ws.protocol.request import MEMBERS
from tests.cli.conftest import Start, has_full_device, run, run_python, wait

MAIN = "from runware_ws.cli import main; main()"
TYPE_OF_PYTHON = re.compile(r"<\w[^>]*>")


# Help and version


def test_help_shows_examples_and_exit_statuses() -> None:
    assert "runware-ws upscale photo.jpg --emulator" in run("--help").stdout
    shown = run("upscale", "--help").stdout
    assert "Exit status" in shown
    assert "runware-ws upscale photos/ --json" in shown


def test_help_takes_limits_and_descriptions_from_the_table_of_members() -> None:
    shown = " ".join(run("upscale", "--help").stdout.replace("│", " ").split())
    for text in ("2|4", "JPG|PNG|WEBP", "20-99", "sync|async"):
        assert text in shown
    for member in MEMBERS:
        if member.name in ("upscale_factor", "output_format", "output_quality", "delivery_method"):
            assert member.description in shown


@pytest.mark.parametrize(
    "command", ["", "upscale", "large", "fetch", "demo", "emulate", "ping", "doctor"]
)
def test_the_help_of_each_command_has_examples_and_no_types_of_python(command: str) -> None:
    shown = run(*command.split(), "--help").stdout
    assert not TYPE_OF_PYTHON.findall(shown)
    assert "Examples:" in shown
    assert ("Exit status:" in shown) is bool(command)


def test_a_type_of_python_in_a_help_is_seen() -> None:
    assert TYPE_OF_PYTHON.findall("IMAGES <list[str]>  Images. --help <bool>  Show this.")
    assert not TYPE_OF_PYTHON.findall("--port NUMBER [0<=x<=65535]")


def test_help_is_complete_in_a_narrow_terminal(start: Start) -> None:
    environment = {**os.environ, "COLUMNS": "40"}
    shown = wait(start("upscale", "--help", env=environment)).stdout
    assert "--max-reconnect-time SECONDS" in shown
    assert "…" not in shown
    assert not TYPE_OF_PYTHON.findall(shown)


def test_help_imports_nothing_that_it_does_not_need() -> None:
    code = f"""
import sys
try:
    {MAIN}
finally:
    heavy = ("httpx", "uvicorn", "starlette", "PIL", "trio", "runware_ws.doctor.context",
             "runware_ws.emulator.faults", "runware_ws.emulator.service.core")
    print([name for name in heavy if name in sys.modules])
"""
    assert run_python(code, "upscale", "--help").stdout.splitlines()[-1] == "[]"


def test_without_arguments_the_help_is_printed() -> None:
    done = run()
    assert done.status == 2
    assert "runware-ws upscale photo.jpg --emulator" in done.stdout


def test_a_command_that_does_not_exist_is_named_in_one_line() -> None:
    done = run("upsacle")
    assert done.status == 2
    assert done.stderr.startswith("error: No such command 'upsacle'")
    assert done.stderr.endswith(" (see runware-ws --help)\n")


def test_the_version_is_printed() -> None:
    assert run("--version").stdout == f"runware-ws {__version__}\n"


def test_the_package_can_be_run_as_a_module(start: Start) -> None:
    assert wait(start("--version")).stdout == f"runware-ws {__version__}\n"


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_cli_the_error_says_what_to_install(missing: str) -> None:
    done = run_python(f"import sys; sys.modules[{missing!r}] = None; {MAIN}", "--help")
    assert done.status == 1
    assert done.stderr == 'runware-ws needs an extra: pip install "runware-ws[cli]"\n'


# Options


@dataclass(frozen=True, kw_only=True)
class First:
    name: Annotated[str, typer.Argument()]
    size: Annotated[int, option("A size.", "--size", value="NUMBER", max=9)] = 4


@dataclass(frozen=True, kw_only=True)
class Second:
    fast: Annotated[bool, option("Be fast.", "--fast")] = False


def run_as_command(*arguments: str) -> tuple[int, list[object]]:
    """Return the exit status of a made-up command, and what it was called with."""
    calls: list[object] = []

    async def command(first: First, second: Second) -> int:
        calls.extend([first, second])
        return 3

    app = typer.Typer()
    app.command()(as_command(command))
    return CliRunner().invoke(app, arguments).exit_code, calls


def test_a_command_gets_its_options_as_dataclasses_and_exits_with_its_status() -> None:
    assert run_as_command("a") == (3, [First(name="a", size=4), Second(fast=False)])
    status, calls = run_as_command("a", "--fast", "--size", "5")
    assert (status, calls) == (3, [First(name="a", size=5), Second(fast=True)])


def test_an_option_beyond_its_limits_is_refused() -> None:
    assert run_as_command("a", "--size", "10") == (2, [])


# Exit statuses and error messages


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("wrong"), 2),
        (InputError("timeout", "is wrong", "pass another"), 2),
        (AuthenticationError("Invalid API key"), 2),
        (JournalError("jobs.db", "it is not a journal"), 2),
        (MissingExtraError("a download", "http"), 2),
        (ConnectionLostError("no connection"), 1),
        (RunwareError("anything else"), 1),
        (KeyboardInterrupt(), 130),
        (asyncio.CancelledError(), 143),
    ],
)
def test_each_way_to_end_has_its_exit_status_and_at_most_one_line(
    error: BaseException, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async def command() -> int:
        raise error

    with pytest.raises(typer.Exit) as end:
        exit_with(command())
    assert end.value.exit_code == status
    assert capsys.readouterr().err.count("\n") == isinstance(error, Exception)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("output_quality", "is wrong", "pass 20"), "--quality: is wrong; pass 20"),
        (
            InputError("max_in_flight", "0 is out of range", "pass 1"),
            "--max-in-flight: 0 is out of range; pass 1",
        ),
        (
            InputError("timeout", "is wrong", "pass 1, or None for no limit"),
            "--timeout: is wrong; pass 1",
        ),
        (
            InputError("url", "is not a URL", "use wss://, or allow_insecure=True"),
            "--url (or RUNWARE_URL): is not a URL; use wss://, or --allow-insecure",
        ),
        (ConnectionLostError("two\nlines"), "two lines"),
    ],
)
def test_an_error_message_names_the_option_the_problem_and_the_remedy(
    error: Exception, message: str
) -> None:
    assert error_message(error) == message


def test_a_line_cannot_be_broken_nor_control_the_terminal() -> None:
    assert one_line("two\nlines \x1b[31m\u00e9") == "two lines \\x1b[31m\u00e9"


# The standard output


@has_full_device
@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [("ping", ""), ("emulate --port 0", ""), ("--version", ""), ("--help", ""), ("--help", "1")],
)
def test_on_a_full_device_one_line_says_so(
    start: Start, monkeypatch: pytest.MonkeyPatch, arguments: str, unbuffered: str
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with Path("/dev/full").open("w") as full:
        done = wait(start(*arguments.split(), stdout=full))
    message = "error: cannot write to the standard output: No space left on device\n"
    assert (done.status, done.stderr) == (1, message)
