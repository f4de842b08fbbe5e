"""The command ``doctor``."""

from __future__ import annotations

import io
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from rich.console import Console

from runware_ws import RunwareClient
from runware_ws.cli import doctor_report as command
from runware_ws.cli.doctor import DoctorArguments
from runware_ws.doctor import rendering
from runware_ws.doctor.context import ProbeContext
from runware_ws.doctor.table import FREE, LIMIT, PAID, Probe, Row
from runware_ws.emulator import Emulator
from tests.cli.conftest import Start, run, set_service, unix
from tests.emulator.bench import picture

# What takes long is left out.
QUICK_FREE = [one for one in FREE if one.name != "inputs of 1 to 64 MiB"]
QUICK_PAID = [one for one in PAID if one.name in ("sync task", "found afterwards")]
QUICK_PAID += [one for one in PAID if one.name in ("same UUID at once", "details after a refusal")]
LOCAL = ["Python", "packages", "key", "proxy", "DNS", "TCP"]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "runware_ws"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    content = picture()
    with Emulator(upscaler=lambda *_: content) as emulator:
        set_service(emulator, monkeypatch)
        yield emulator


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "FREE", QUICK_FREE)
    monkeypatch.setattr(command, "PAID", QUICK_PAID)


def names_of(lines: list[str]) -> list[str]:
    return [line[8:].partition(":")[0] for line in lines if line[:2] in ("ok", "wr", "un", "sk")]


@pytest.mark.usefixtures("quick")
def test_each_check_and_probe_is_one_line_in_a_pipe(service: Emulator, state: Path) -> None:
    done = run("doctor")
    assert (done.status, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    free = [probe.name for probe in QUICK_FREE]
    assert names_of(lines) == [*LOCAL, *free, "4 more probes", "profile"]
    assert lines[-1] == "all checks passed"
    assert "\x1b" not in done.stdout
    assert lines[0].startswith("ok      Python: 3.")
    assert "ok      ping: answered in " in done.stdout
    assert "ok      arrays of 2, 20, 100: 100 tasks accepted (free)" in lines
    assert "skipped 4 more probes: not tried: they need --spend, and cost at most $0.02" in lines
    assert service.billed == 0
    assert service.api_key not in done.output
    (profile,) = state.iterdir()
    assert f"ok      profile: {profile}" in lines


@pytest.mark.usefixtures("quick")
def test_with_consent_it_spends_and_says_the_most_beforehand(service: Emulator) -> None:
    done = run("doctor", "--spend")
    assert done.status == 0
    before, _, after = done.stdout.partition("the probes cost at most $0.02\n")
    assert names_of(before.splitlines()) == LOCAL
    assert "ok      same UUID at once: refused (free)" in after
    assert "($0.0013)" in after
    assert service.billed == pytest.approx(0.0013)


@pytest.mark.usefixtures("quick", "service")
def test_the_client_knows_what_was_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def finds_a_limit(context: ProbeContext) -> str:
        context.record(tasks_per_frame=20, tasks_refused=100)
        return "20 tasks accepted"

    assert RunwareClient()._settings.max_tasks_per_frame == 100
    monkeypatch.setattr(command, "FREE", [Probe("arrays", finds_a_limit)])
    done = run("doctor")
    assert "20 tasks accepted (free); the client sends at most 20 tasks in one frame" in done.stdout
    assert done.stdout.endswith("a client sends at most 20 tasks in one frame\nall checks passed\n")
    assert RunwareClient()._settings.max_tasks_per_frame == 20


@pytest.mark.usefixtures("quick")
def test_as_json_it_is_one_object(service: Emulator, state: Path) -> None:
    done = run("doctor", "--spend", "--json")
    assert done.status == 0
    report = json.loads(done.stdout)
    names = [check["name"] for check in report["checks"]]
    probes = [probe.name for probe in (*QUICK_FREE, *QUICK_PAID)]
    assert names == [*LOCAL, *probes, "profile"]
    assert {check["state"] for check in report["checks"]} == {"ok"}
    assert report["failed"] == []
    assert report["cost"] == 0.0013
    assert report["findings"]["repeat_at_once"] == "refused"
    assert all(isinstance(words, str) for words in report["client"])
    ping = next(check for check in report["checks"] if check["name"] == "ping")
    assert set(ping) == {"name", "state", "result", "cost", "client"}
    assert ping["cost"] == 0
    assert report["checks"][0]["cost"] is None
    (profile,) = state.iterdir()
    assert report["checks"][-1]["result"] == str(profile)
    assert service.api_key not in profile.read_text() + done.output


@pytest.mark.usefixtures("quick")
def test_without_money_what_money_has_found_out_stays_known(service: Emulator) -> None:
    run("doctor", "--spend")
    report = json.loads(run("doctor", "--json").stdout)
    assert report["findings"]["repeat_at_once"] == "refused"
    assert report["cost"] == 0


def test_a_missing_key_is_named_and_nothing_is_probed(
    service: Emulator, monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    monkeypatch.delenv("RUNWARE_API_KEY")
    done = run("doctor")
    assert done.status == 1
    assert "failed  key: RUNWARE_API_KEY is missing" in done.stdout
    assert done.stdout.splitlines()[-1] == "failed: key"
    assert not service.requests
    assert not state.exists()


def test_a_refused_key_is_named(service: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWARE_API_KEY", "another-key")
    done = run("doctor")
    assert done.status == 1
    assert "failed  authentication: the service refused the key: " in done.stdout
    assert done.stdout.splitlines()[-1] == "failed: authentication"
    assert "another-key" not in done.output


def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("RUNWARE_API_KEY", "a-key")
    done = run("doctor", "--url", f"ws://127.0.0.1:{port}/v1")
    assert done.status == 1
    assert done.stdout.splitlines()[-1] == "failed: TCP"
    done = run("doctor", "--url", "wss://nowhere.invalid/v1", "--json")
    assert done.status == 1
    assert json.loads(done.stdout)["failed"] == ["DNS", "TLS"]


@pytest.mark.usefixtures("quick")
def test_a_profile_that_cannot_be_written_is_named(service: Emulator, state: Path) -> None:
    state.parent.mkdir()
    state.write_text("a file where the folder should be")
    done = run("doctor")
    assert done.status == 1
    assert "failed  profile: cannot be written: " in done.stdout
    assert done.stdout.splitlines()[-1] == "failed: profile"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--url", "http://example.com"],
        ["--url", "ws://example.com/v1"],
        ["--url", "wss://example.com/v1", "--emulator"],
        ["--key", "a-key"],
        ["--dance"],
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    done = run("doctor", *arguments)
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")


@pytest.mark.usefixtures("quick")
def test_it_can_be_tried_on_an_emulator_which_leaves_no_profile(state: Path) -> None:
    done = run("doctor", "--emulator")
    assert done.status == 0
    assert "key" not in names_of(done.stdout.splitlines())
    assert not state.exists()


@unix
def test_ctrl_c_ends_it_and_what_was_found_out_is_kept(
    service: Emulator, start: Start, state: Path
) -> None:
    process = start("doctor", "--spend")
    assert process.stdout is not None
    for line in process.stdout:
        if "same UUID after a second" in line:
            break
    process.send_signal(signal.SIGINT)  # it waits for a minute now
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    (profile,) = state.iterdir()
    assert json.loads(profile.read_text())["findings"]["repeat_at_once"]["value"] == "refused"
    assert str(profile) in stdout


# On a terminal


ROWS = [
    Row("Python", "3.12.1 on Linux x86_64"),
    Row("ping", "no answer in time", "failed", 0.0),
    Row("a probe with a long name", "word " * 20 + "end", "unknown", 0.0013, ("asks less often",)),
    Row("profile", "/path/" + "a" * 200 + "/last"),
]


def shown(width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a terminal of this width shows of some rows."""
    output = io.StringIO()
    real = Console

    def console(**options: Any) -> Console:
        return real(file=output, width=width, force_terminal=True, **options)

    monkeypatch.setattr("rich.console.Console", console)
    screen = rendering.Screen()
    for row in ROWS:
        screen.show(row.name)
        screen.print_row(row)
    screen.print("[all] is well")
    return output.getvalue()


@pytest.mark.parametrize("width", [60, 120])
def test_a_terminal_shows_the_whole_text_in_colour(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(width, monkeypatch)
    assert "\x1b[1;31mfailed" in text
    assert "end" in text
    assert "/last" in "".join(text.split())
    assert "…" not in text.replace("…       ", "")  # which says what is being done
    assert "($0.0013)" in text
    assert "the client asks less often" in text
    assert "[all] is well" in text


def test_a_row_is_one_line_of_text() -> None:
    assert rendering.line_of(ROWS[1]) == "failed  ping: no answer in time (free)"
    assert rendering.line_of(ROWS[2]).endswith("end ($0.0013); the client asks less often")


def test_what_a_service_says_cannot_control_the_terminal(
    service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def shouts(context: ProbeContext) -> str:
        return "two\nlines \x1b[31m"

    monkeypatch.setattr(command, "FREE", [Probe("shouts", shouts)])
    assert "ok      shouts: two lines \\x1b[31m (free)\n" in run("doctor").stdout


def test_the_help_names_what_the_probes_cost_at_most() -> None:
    spend = get_type_hints(DoctorArguments, include_extras=True)["spend"]
    (option,) = spend.__metadata__
    assert f"at most ${LIMIT:.2f}" in option.help
