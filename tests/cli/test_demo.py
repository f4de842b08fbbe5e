"""The command ``demo``: it is right only if nothing was lost, and says so."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from runware_ws.cli import demo
from runware_ws.emulator import Emulator
from tests.cli.conftest import Start, on_terminal, results, run, unix

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_LATENCY", 0.05)


def table(text: str) -> dict[str, int]:
    """Return the rows of the table at the end."""
    return {name: int(count) for name, count in re.findall(r"^  (\D+?) +(\d+)\r?$", text, re.M)}


PROMISED = {
    "pictures": 12,
    "saved": 12,
    "lost": 0,
    "runs at the emulator": 12,
    "run twice": 0,
    "connection cut": 3,
    "session forgotten": 1,
    "refused for lack of room": 3,
}


def test_in_a_pipe_the_demonstration_is_lines_and_a_table() -> None:
    done = run("demo", "--out", "out")
    assert done.status == 0
    assert table(done.stdout) == PROMISED
    lines = done.stdout.splitlines()
    assert lines[0].endswith("sending 12 pictures to the emulator over one connection")
    assert lines[-1] == "each picture was upscaled once, and none was lost"
    counts = Counter(re.sub(r"^ *[\d.]+ s  |\d+|:.*| pictures?", "", line) for line in lines)
    assert counts["! connection lost"] == 3
    assert counts["connected again; the service has forgotten the session"] == 1
    assert len([line for line in lines if re.search(r"\w+-\d.jpg done \(\d+/12\)$", line)]) == 12
    assert "asking what became of" in done.stdout
    assert "refused for lack of room: will be sent again" in done.stdout
    assert done.stderr == ""
    assert len(results("out")) == 12


@pytest.mark.long
@unix
def test_on_a_terminal_it_is_shown_live_with_a_bar(start: Start) -> None:
    done = on_terminal(start, "demo", columns=40)
    assert done.status == 0
    assert table(done.stdout) == PROMISED
    assert "12/12" in done.stdout
    assert "\x1b[?25h" in done.stdout, "the cursor is back"


def test_the_pictures_are_deleted_unless_they_are_wanted() -> None:
    assert run("demo").status == 0
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("wrong", ["a run too many", "no faults", "a picture lost"])
def test_it_fails_if_it_is_not_as_promised(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    if wrong == "a run too many":
        once_more = Counter({str(number): 1 for number in range(13)})
        monkeypatch.setattr(Emulator, "executions", once_more)
    elif wrong == "no faults":
        monkeypatch.setattr(demo, "_faults", list)
    else:
        original = demo._DemoRun._count_whole
        monkeypatch.setattr(demo._DemoRun, "_count_whole", lambda show: original(show) - 1)
    done = run("demo")
    assert done.status == 1
    assert ("FAILED: expected each picture once" in done.stdout) is (wrong != "no faults")


def test_a_folder_that_cannot_be_written_is_refused() -> None:
    Path("file").touch()
    done = run("demo", "--out", "file")
    assert done.status == 2
    assert done.stderr.startswith("error: --out: file cannot be written to: Not a directory")
