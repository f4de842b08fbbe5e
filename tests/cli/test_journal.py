"""Test ``upscale --journal``: interrupted, and run again with the same arguments, it resumes.

`tests/journal/test_crash.py` kills it with ``kill -9``.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Lose
from tests.cli.conftest import Start, make_image, run, set_service, size_of, unix, wait
from tests.journal.clients import in_file
from tests.journal.files import limited_files, unprivileged

# Each starts several commands.
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("folder")]

NAMES = [f"{number}.jpg" for number in range(12)]
COMMAND = ("upscale", "in", "--journal", "jobs.db", "--max-in-flight", "4")
JOURNAL = Path("jobs.db")


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator that never sends the first result.

    So there is an image in flight until the end of the run, on any machine. A later run asks for
    it.
    """
    with Emulator(faults=[Lose(nth=1)]) as emulator:
        set_service(emulator, monkeypatch)
        yield emulator


def make_inputs() -> None:
    for name in NAMES:
        make_image(f"in/{name}")


def results(folder: str = "upscaled") -> list[str]:
    """Return the names of the results, after a check that each is complete."""
    found = [path for path in Path(folder).iterdir() if path.name[0] != "."]
    assert all(size_of(path) == (32, 24) for path in found)
    return sorted(path.name for path in found)


def start_and_read(start: Start, lines: int = 1) -> subprocess.Popen[str]:
    """Start the command, and return when so many images are done. Others are in flight."""
    process = start(*COMMAND)
    assert process.stdout is not None
    for _ in range(lines):
        assert " -> " in process.stdout.readline()
    return process


def each_was_upscaled_once(emulator: Emulator) -> bool:
    return results() == sorted(NAMES) and list(emulator.executions.values()) == [1] * len(NAMES)


@unix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_resumed_by_the_same_command(
    losing: Emulator, start: Start, number: signal.Signals
) -> None:
    make_inputs()
    process = start_and_read(start, 3)
    process.send_signal(number)
    interrupted = wait(process)
    assert interrupted.status == 128 + number
    assert "run the same command again to resume" in interrupted.stderr
    under_way = [entry for entry in in_file(JOURNAL) if not entry.has_result]
    assert under_way
    assert all(entry.has_request for entry in under_way), "not one was given up"
    ended = run(*COMMAND)
    assert ended.status == 0
    assert "already done" in ended.stderr
    assert each_was_upscaled_once(losing)
    assert in_file(JOURNAL) == []


def test_a_run_after_the_last_one_sends_nothing(service: Emulator) -> None:
    make_inputs()
    assert run(*COMMAND).status == 0
    again = run(*COMMAND)
    assert again.status == 0
    assert again.stdout == ""
    assert f"{len(NAMES)} already done" in again.stderr
    assert each_was_upscaled_once(service)


def test_images_that_the_service_has_forgotten_are_sent_again(
    losing: Emulator, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that has changed since is upscaled as it is now."""
    make_inputs()
    process = start_and_read(start)
    process.kill()
    process.wait()
    left = [Path(entry.source or "").name for entry in in_file(JOURNAL)]
    for name in left:
        make_image(f"in/{name}", (16, 12))
    with Emulator() as other:
        set_service(other, monkeypatch)
        assert run(*COMMAND).status == 0
    assert left
    for name in NAMES:
        assert size_of(f"upscaled/{name}") == ((64, 48) if name in left else (32, 24))
    assert in_file(JOURNAL) == []


@unix
def test_a_run_with_other_arguments_saves_what_was_left_under_its_own_names(
    losing: Emulator, start: Start
) -> None:
    make_inputs()
    process = start_and_read(start)
    process.send_signal(signal.SIGINT)
    wait(process)
    left = {Path(entry.source or "").name for entry in in_file(JOURNAL)}
    assert left
    make_image("other.jpg")
    assert run("upscale", "other.jpg", "--journal", "jobs.db", "--out", "out").status == 0
    assert set(results("out")) == {"other.jpg"} | left
    assert in_file(JOURNAL) == []
    assert run("upscale", "in", "other.jpg", "--out", "out", "--skip-existing").status == 0
    assert all(count == 1 for count in losing.executions.values())


@unix
def test_what_was_left_does_not_overwrite_a_file_of_its_name(
    losing: Emulator, start: Start
) -> None:
    make_inputs()
    process = start_and_read(start)
    process.send_signal(signal.SIGINT)
    wait(process)
    left = in_file(JOURNAL)
    Path("out").mkdir()
    for name in NAMES:
        Path("out", name).write_text("mine")
    make_image("other.jpg")
    assert run("upscale", "other.jpg", "--journal", "jobs.db", "--out", "out").status == 0
    assert {Path("out", name).read_text() for name in NAMES} == {"mine"}
    named = {path.stem for path in Path("out").glob("*-*.jpg")}
    assert named == {entry.uuid for entry in left}


def test_a_result_that_cannot_be_saved_stays_in_the_journal(service: Emulator) -> None:
    for name in "abc":
        make_image(f"in/sub/{name}.jpg")
    Path("upscaled").mkdir()
    Path("upscaled/sub").symlink_to("nowhere")  # where a folder is needed
    command = (*COMMAND, "--recursive")
    for _ in range(2):  # in the second run it is one of those that were left
        stopped = run(*command)
        assert stopped.status == 1
        assert "stopped: a result cannot be saved; it stays in the journal\n" in stopped.stderr
        assert any(entry.has_result for entry in in_file(JOURNAL))
    Path("upscaled/sub").unlink()
    assert run(*command).status == 0
    assert results("upscaled/sub") == ["a.jpg", "b.jpg", "c.jpg"]
    assert list(service.executions.values()) == [1] * 3
    assert in_file(JOURNAL) == []


def test_a_file_that_is_no_journal_is_refused_and_not_changed(service: Emulator) -> None:
    make_inputs()
    JOURNAL.write_text("Dear diary,\n" * 100)
    refused = run(*COMMAND)
    assert refused.status == 2
    assert "the journal jobs.db cannot be used: it is not a journal" in refused.stderr
    assert JOURNAL.read_text() == "Dear diary,\n" * 100
    assert not service.requests
    assert not Path("upscaled").exists()


@unix
def test_a_journal_that_cannot_be_created_is_refused_before_anything_is_sent(
    service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unprivileged() as folder:
        monkeypatch.chdir(folder)
        make_inputs()
        Path("upscaled").mkdir()
        folder.chmod(0o500)
        refused = run(*COMMAND)
        assert refused.status == 2
        assert "the journal jobs.db cannot be used: Permission denied" in refused.stderr
        assert not service.requests
        monkeypatch.undo()


def test_a_second_command_on_a_journal_is_refused_and_the_first_continues(
    losing: Emulator, start: Start
) -> None:
    make_inputs()
    first = start_and_read(start)
    second = run(*COMMAND)
    assert second.status == 2
    assert "another process, or another client, is using it" in second.stderr
    all_but_two = len(NAMES) - 2
    assert first.stdout is not None
    assert all(" -> " in first.stdout.readline() for _ in range(all_but_two))
    first.kill()
    first.wait()
    assert run(*COMMAND).status == 0
    assert each_was_upscaled_once(losing)


@unix
def test_a_full_disk_stops_the_command_and_loses_nothing(service: Emulator, start: Start) -> None:
    make_inputs()
    with limited_files(90_000):
        process = start(*COMMAND)
    stopped = wait(process)
    assert stopped.status == 1
    assert stopped.stderr.count("failed: ") == 1
    assert "the journal jobs.db cannot be used: " in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert run(*COMMAND).status == 0
    assert each_was_upscaled_once(service)
