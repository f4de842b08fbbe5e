"""Print the output of ``upscale``: lines, JSON lines, or a progress bar.

Results go to stdout, one line for each image. Everything else (failures, messages, the summary)
goes to stderr, so that a pipe gets nothing but results.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import IO, Any, Literal

from .summary import ImageReport, Summary, dollars, duration


class Output:
    """Prints messages and results in the form that fits the options and the terminal.

    Args:
        as_json: print a JSON object for each image.
        quiet: print only failures, and tasks that cost or may cost money.

    Attributes:
        incomplete: whether a line could not be written, for example on a full disk.
    """

    def __init__(self, as_json: bool = False, *, quiet: bool = False) -> None:
        self.incomplete = False
        self._as_json = as_json
        self._quiet = quiet
        self._bar = ProgressBar() if not quiet and _shows_bar(as_json) else None

    def image(self, report: ImageReport) -> None:
        """Print the outcome of an image."""
        if self._as_json:
            self.result(json.dumps(report.as_json()))
        elif report.error is None and self._bar is None and not self._quiet:
            self.result(report.line())
        # Thousands of lines with one reason would hide the others.
        if report.error is not None and report.status != "not sent":
            self.message(report.line(), style="red")

    def result(self, line: str) -> None:
        """Print a line to the standard output."""
        self.incomplete |= not write_line(sys.stdout, line)

    def line(self, text: str) -> None:
        """Print a line above the bar if there is one, else to the standard output."""
        if self._bar is None:
            self.result(text)
        else:
            self._bar.print(text, "")

    def note(self, text: str) -> None:
        """Print a message, unless the output is quiet."""
        if not self._quiet:
            self.message(text)

    def message(self, text: str, style: str = "") -> None:
        """Print a message for the user."""
        if self._bar is None:
            write_line(sys.stderr, text)
        else:
            self._bar.print(text, style)

    def update(self, summary: Summary) -> None:
        """Show the progress of the run."""
        if self._bar is not None:
            self._bar.update(summary)

    def close(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.close()


class ProgressBar:
    """A bar on the last line of the terminal. Messages scroll above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[state]}"),
            console=self._console,
            auto_refresh=False,  # rich would do it in another thread
            transient=True,
            expand=True,
        )

    def print(self, text: str, style: str) -> None:
        self._console.print(text, style=style, markup=False, soft_wrap=True)

    def update(self, summary: Summary) -> None:
        state = _state(summary, self._console.width)
        if not self._progress.task_ids:
            self._progress.add_task("", total=summary.total, state=state)
            self._progress.start()
        (bar,) = self._progress.task_ids
        self._progress.update(bar, total=summary.total, completed=summary.completed, state=state)
        self._progress.refresh()

    def close(self) -> None:
        self._progress.stop()


def _state(summary: Summary, width: int) -> str:
    """Return the text beside the bar, with the markup of rich; less of it in a narrow terminal."""
    failed = summary.counts["failed"]
    parts = [f"{summary.completed}/{summary.total}"]
    if failed or width >= 80:
        parts.append(f"[{'red' if failed else 'none'}]{failed} failed[/]")
    if width >= 80:
        parts.append(f"{summary.in_flight} in flight")
    if width >= 100:
        parts.append(f"{summary.rate:.1f} images/s")
    if width >= 60:
        parts.append(dollars(summary.cost))
    left = summary.seconds_left
    parts.append("-:--" if left is None else f"{duration(left)}{' left' if width >= 60 else ''}")
    return ", ".join(parts) if width >= 60 else " ".join(parts)


def _shows_bar(as_json: bool) -> bool:
    """Return True if there is a terminal for a bar, and no JSON lines on it that would break it."""
    can_draw = os.environ.get("TERM") not in ("dumb", "unknown")
    return can_draw and sys.stderr.isatty() and sys.stdout.isatty() is not as_json


def write_line(stream: IO[str], line: str) -> bool:
    """Write a line, and return False if that fails.

    A failure does not end the run, because its images are paid for. A closed pipe is not a failure.
    """
    try:
        print(line, file=stream, flush=True)
    except OSError as error:
        is_stdout = stream is sys.stdout
        discard("stdout" if is_stdout else "stderr")
        if isinstance(error, BrokenPipeError):  # for example, `| head -1` has ended
            return True
        if is_stdout:
            write_line(sys.stderr, stdout_error(error))
        return False
    return True


def stdout_error(error: OSError) -> str:
    return f"error: cannot write to the standard output: {error.strerror}"


def discard(name: Literal["stdout", "stderr"]) -> None:
    """Discard all later output to a standard stream, and the content of its buffer."""
    null: Any = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # open until the exit
    setattr(sys, name, null)
