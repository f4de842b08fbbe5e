"""Test the lines, the JSON lines and the summary that ``upscale`` prints."""

from __future__ import annotations

import io
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from runware_ws import ConnectionLostError, ValidationError
from runware_ws.cli.errors import Interrupted
from runware_ws.cli.output import Output, _state
from runware_ws.cli.summary import ImageReport, Summary

DONE = ImageReport(
    source="a.jpg",
    seconds=0.25,
    output=Path("out/a.jpg"),
    task_uuid="T",
    cost=0.0013,
    attempts=2,
    input_size=(2000, 1000),
    output_size=(4096, 2048),
)
FAILED = ImageReport(source="b.jpg", seconds=1.0, error=ValidationError("invalidImage", "Bad."))
NOT_SENT = ImageReport(source="c.jpg", seconds=1.0, error=ConnectionLostError("no connection"))
INTERRUPTED = ImageReport(
    source="d.jpg", seconds=1.0, error=Interrupted(resumable=False), task_uuid="T"
)
REPORTS = (DONE, FAILED, NOT_SENT, INTERRUPTED)


def printed(as_json: bool, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    output = Output(as_json)
    for report in REPORTS:
        output.image(report)
    stdout, stderr = capsys.readouterr()
    assert not output.incomplete
    return stdout.splitlines(), stderr.splitlines()


def test_results_go_to_stdout_and_failures_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    stdout, stderr = printed(False, capsys)
    assert stdout == [f"a.jpg -> {Path('out/a.jpg')} (0.2 s, $0.0013)"]
    assert stderr == ["failed: b.jpg: Bad. (invalidImage)", "interrupted: d.jpg (taskUUID T)"]


def test_with_json_every_image_is_an_object_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    stdout, stderr = printed(True, capsys)
    objects = [json.loads(line) for line in stdout]
    assert objects[0] == {
        "source": "a.jpg",
        "output": str(Path("out/a.jpg")),
        "task_uuid": "T",
        "cost": 0.0013,
        "attempts": 2,
        "seconds": 0.25,
        "input_size": [2000, 1000],
        "output_size": [4096, 2048],
        "effective_scale": 2.048,
        "error": None,
    }
    assert [one["error"]["type"] for one in objects[1:]] == [
        "ValidationError",
        "ConnectionLostError",
        "Interrupted",
    ]
    assert objects[1]["error"]["code"] == "invalidImage"
    assert len(stderr) == 2


def summary_of(*reports: ImageReport, resumable: bool = False, existing: int = 0) -> str:
    summary = Summary(total=9, resumable=resumable)
    summary.counts["existing"] = existing
    for report in reports:
        summary.add(report)
    return summary.text(Path("out"))


def test_the_summary_counts_what_became_of_all_images() -> None:
    text, results, hint = summary_of(*REPORTS, existing=2).splitlines()
    assert text.startswith("1 image upscaled in ")
    assert " for $0.0013; 1 failed; 1 not sent; 2 already done, at no cost; " in text
    assert "; 1 interrupted, the service may still finish and bill them; 3 not started" in text
    assert results == f"results: {Path('out').absolute()}"
    assert "`runware-ws fetch UUID… --out DIR`" in hint


def test_a_summary_of_nothing_but_results_that_were_there_says_that_it_cost_nothing() -> None:
    text = summary_of(existing=9)
    assert text == "nothing to do: 9 already done; nothing was sent, at no cost"


def test_a_result_that_is_paid_for_and_not_saved_is_named_with_its_task() -> None:
    full = OSError(28, "No space left on device")
    line = ImageReport("a.jpg", error=full, task_uuid="T", is_paid=True).line()
    assert line == "failed: a.jpg: No space left on device; it is paid for, taskUUID T"


def test_the_summary_says_how_to_resume() -> None:
    error = Interrupted(resumable=True)
    text = summary_of(ImageReport("a.jpg", 1.0, error=error), resumable=True)
    assert "1 interrupted, run the same command again to resume" in text
    assert "fetch" not in text
    assert "results: " not in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Pipe(io.StringIO):
    """A pipe whose reader has left, or a file on a full disk."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str) -> int:
        raise self._error


@pytest.mark.parametrize(
    ("term", "option", "stdout", "stderr", "shown"),
    [
        ("xterm", "", "terminal", "terminal", True),
        ("xterm", "", "pipe", "terminal", False),
        ("xterm", "", "terminal", "pipe", False),
        ("xterm", "--json", "terminal", "terminal", False),
        ("xterm", "--json", "pipe", "terminal", True),
        ("dumb", "", "terminal", "terminal", False),
    ],
)
def test_a_bar_is_shown_on_a_terminal_that_can_draw_it_and_shows_no_other_lines(
    monkeypatch: pytest.MonkeyPatch,
    *,
    term: str,
    option: str,
    stdout: str,
    stderr: str,
    shown: bool,
) -> None:
    kinds = {"terminal": Terminal, "pipe": io.StringIO}
    out, err = kinds[stdout](), kinds[stderr]()
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    output = Output(as_json=option == "--json")
    output.update(Summary(total=1))
    output.close()
    assert ("0/1" in err.getvalue()) is shown
    assert "0/1" not in out.getvalue()


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (120, "7/90, 1 failed, 4 in flight, 0.1 images/s, $0.0078, 14:13 left"),
        (80, "7/90, 1 failed, 4 in flight, $0.0078, 14:13 left"),
        (60, "7/90, 1 failed, $0.0078, 14:13 left"),
        (40, "7/90 1 failed 14:13"),
    ],
)
def test_the_bar_has_a_total_and_the_time_left_at_every_width(width: int, shown: str) -> None:
    summary = Summary(total=90, in_flight=4, cost=0.0078, started=time.monotonic() - 71.95)
    summary.counts.update(done=6, failed=1)
    assert re.sub(r"\[/?\w*\]", "", _state(summary, width)) == shown


def test_before_the_first_result_the_time_left_is_not_known() -> None:
    assert _state(Summary(total=90), 40) == "0/90 -:--"


@pytest.mark.parametrize(
    ("error", "incomplete", "message"),
    [
        (BrokenPipeError(), False, ""),
        (OSError(28, "Disk full"), True, "error: cannot write to the standard output: Disk full\n"),
    ],
)
def test_lines_that_cannot_be_written_are_reported_once_unless_the_reader_has_left(
    monkeypatch: pytest.MonkeyPatch, error: OSError, incomplete: bool, message: str
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stdout", Pipe(error))
    monkeypatch.setattr(sys, "stderr", stderr)
    output = Output(as_json=False)
    output.image(DONE)
    output.image(DONE)
    null: Any = sys.stdout
    null.close()
    assert output.incomplete is incomplete
    assert stderr.getvalue() == message
