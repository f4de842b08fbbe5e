"""`runware-ws upscale --journal`: started again with the same arguments it goes on where it was.

How it bears `kill -9` is in `tests/journal/test_crash.py`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Lose
from tests.cli.conftest import Start, end, picture, run, size_of
from tests.journal.clients import in_file
from tests.journal.files import limited_files, unprivileged

pytestmark = pytest.mark.usefixtures("folder")
unix = pytest.mark.skipif(sys.platform == "win32", reason="has other signals and permissions")

NAMES = [f"{number}.jpg" for number in range(12)]
COMMAND = ("upscale", "in", "--journal", "jobs.db", "--max-in-flight", "4")
JOURNAL = Path("jobs.db")


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator that never pushes the first result: however fast or slow the machine is, there
    is an image under way when another is done. A later run asks for it."""
    with Emulator(faults=[Lose(nth=1)]) as emulator:
        monkeypatch.setenv("RUNWARE_URL", emulator.url)
        monkeypatch.setenv("RUNWARE_API_KEY", emulator.api_key)
        yield emulator


def pictures() -> None:
    for name in NAMES:
        picture(Path("in") / name)


def results(folder: str = "upscaled") -> list[str]:
    """What lies in the output folder, every image of it whole."""
    found = [path for path in Path(folder).iterdir() if path.name[0] != "."]
    assert all(size_of(path) == (32, 24) for path in found)
    return sorted(path.name for path in found)


def begun(start: Start, lines: int = 1) -> subprocess.Popen[str]:
    """The command, with so many images done and others under way."""
    process = start(*COMMAND)
    assert process.stdout is not None
    for _ in range(lines):
        assert " -> " in process.stdout.readline()
    return process


def all_done_once(emulator: Emulator) -> bool:
    return results() == sorted(NAMES) and list(emulator.executions.values()) == [1] * len(NAMES)


@unix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_interrupted_goes_on_where_it_was(
    forgetful: Emulator, start: Start, number: signal.Signals
) -> None:
    pictures()
    process = begun(start, 3)
    process.send_signal(number)
    interrupted = end(process)
    assert interrupted.status == 128 + number
    assert "the same command goes on with them" in interrupted.stderr
    under_way = [entry for entry in in_file(JOURNAL) if not entry.has_result]
    assert under_way
    assert all(entry.request for entry in under_way), "not one was given up"
    ended = run(*COMMAND)
    assert ended.status == 0
    assert "done before" in ended.stderr
    assert all_done_once(forgetful)
    assert in_file(JOURNAL) == []


def test_a_run_after_the_last_one_finds_nothing_to_do(use: Emulator) -> None:
    pictures()
    assert run(*COMMAND).status == 0
    again = run(*COMMAND)
    assert again.status == 0
    assert again.stdout == ""
    assert f"{len(NAMES)} done before" in again.stderr
    assert all_done_once(use)


def test_a_service_that_has_forgotten_all_is_sent_all(
    forgetful: Emulator, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also an image that is another one by now: it is upscaled as it is."""
    pictures()
    process = begun(start)
    process.kill()
    process.wait()
    for entry in in_file(JOURNAL):
        assert entry.source is not None
        picture(Path(entry.source), (16, 12))
    left = [Path(entry.source or "").name for entry in in_file(JOURNAL) if not entry.has_result]
    with Emulator() as other:
        monkeypatch.setenv("RUNWARE_URL", other.url)
        monkeypatch.setenv("RUNWARE_API_KEY", other.api_key)
        assert run(*COMMAND).status == 0
    assert left
    for name in NAMES:
        assert size_of(Path("upscaled") / name) == ((64, 48) if name in left else (32, 24))
    assert in_file(JOURNAL) == []


@unix
def test_what_a_run_with_other_arguments_left_is_saved_under_the_name_of_its_task(
    forgetful: Emulator, start: Start
) -> None:
    pictures()
    process = begun(start)
    process.send_signal(signal.SIGINT)
    end(process)
    left = {entry.uuid for entry in in_file(JOURNAL)}
    picture(Path("other.jpg"))
    assert run("upscale", "other.jpg", "--journal", "jobs.db", "--out", "out").status == 0
    assert set(results("out")) == {"other.jpg"} | {f"{uuid}.jpg" for uuid in left}
    assert in_file(JOURNAL) == []


def test_a_result_that_cannot_be_saved_stays_in_the_journal(use: Emulator) -> None:
    for name in "abc":
        picture(Path(f"in/sub/{name}.jpg"))
    Path("upscaled").mkdir()
    Path("upscaled/sub").touch()  # where a folder is needed
    command = (*COMMAND, "--recursive")
    for _ in range(2):  # in the second run it is one of those that were left
        stopped = run(*command)
        assert stopped.status == 1
        assert "stopped: a result cannot be saved. It stays in the journal." in stopped.stderr
        assert any(entry.has_result for entry in in_file(JOURNAL))
    Path("upscaled/sub").unlink()
    assert run(*command).status == 0
    assert results("upscaled/sub") == ["a.jpg", "b.jpg", "c.jpg"]
    assert list(use.executions.values()) == [1] * 3
    assert in_file(JOURNAL) == []


def test_a_file_that_is_no_journal_is_refused_and_left_alone(use: Emulator) -> None:
    pictures()
    JOURNAL.write_text("Dear diary,\n" * 100)
    refused = run(*COMMAND)
    assert refused.status == 2
    assert "the journal jobs.db cannot be used: it is not a journal" in refused.stderr
    assert JOURNAL.read_text() == "Dear diary,\n" * 100
    assert not use.requests
    assert not Path("upscaled").exists()


@unix
def test_a_folder_that_cannot_be_written_is_told_before_anything_is_sent(
    use: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unprivileged() as folder:
        monkeypatch.chdir(folder)
        pictures()
        folder.chmod(0o500)
        refused = run(*COMMAND)
        assert refused.status == 2
        assert "the journal jobs.db cannot be used: Permission denied" in refused.stderr
        assert not use.requests
        monkeypatch.undo()


def test_a_second_command_on_a_journal_is_refused_and_the_first_goes_on(
    forgetful: Emulator, start: Start
) -> None:
    pictures()
    first = begun(start)
    second = run(*COMMAND)
    assert second.status == 2
    assert "another process, or another client, is using it" in second.stderr
    all_but_two = len(NAMES) - 2
    assert first.stdout is not None
    assert all(" -> " in first.stdout.readline() for _ in range(all_but_two))
    first.kill()
    first.wait()
    assert run(*COMMAND).status == 0
    assert all_done_once(forgetful)


@unix
def test_a_disk_that_is_full_stops_the_command_and_loses_nothing(
    use: Emulator, start: Start
) -> None:
    pictures()
    with limited_files(90_000):
        process = start(*COMMAND)
    stopped = end(process)
    assert stopped.status == 1
    assert stopped.stderr.count("failed: ") == 1
    assert "the journal jobs.db cannot be used: " in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert run(*COMMAND).status == 0
    assert all_done_once(use)
