"""What the command tells while it works: a bar, plain lines, or JSON lines.

Results go to stdout, one line for each; everything else (failures, notes, the summary) goes to
stderr, so that a pipe gets results and nothing else.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from ..errors import ConnectionLostError
from .complaints import InterruptedByUser, in_one_line
from .streams import complaint, let_go_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = ["Finished", "Reporter", "Tally", "reporter_for", "summary"]


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of one image.

    Attributes:
        source: the image, as a path or a URL.
        output: the file that was written, or None.
        error: why there is none, or None.
        seconds: from the moment when the image was taken until now.
        task_uuid, cost, attempts: of its task, as far as they are known.
    """

    source: str
    output: Path | None
    error: Exception | None
    seconds: float
    task_uuid: str | None = None
    cost: float | None = None
    attempts: int | None = None

    @property
    def not_sent(self) -> bool:
        """Whether its turn came only after the connection had been given up."""
        return isinstance(self.error, ConnectionLostError) and self.error.task_uuid is None


@dataclass(slots=True)
class Tally:
    """How far the command has come.

    Attributes:
        total: how many images there are.
        done, failed: how many are done and have failed.
        before: how many were done by an earlier run.
        lasting: whether there may be a later run, which goes on with the rest.
        given_up: how many were under way on Ctrl-C.
        not_sent: how many had no connection left to be sent on.
        in_flight: how many are under way.
        cost: of all results, in US dollars.
        began: when it began.
    """

    total: int
    done: int = 0
    failed: int = 0
    before: int = 0
    lasting: bool = False
    given_up: int = 0
    not_sent: int = 0
    cost: float = 0.0
    in_flight: int = 0
    began: float = field(default_factory=time.monotonic)

    def add(self, finished: Finished) -> None:
        if finished.error is None:
            self.done += 1
        elif isinstance(finished.error, InterruptedByUser):
            self.given_up += 1
        elif finished.not_sent:
            self.not_sent += 1
        else:
            self.failed += 1
        self.cost += finished.cost or 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def rest(self) -> int:
        """How many are not begun."""
        begun = self.done + self.failed + self.before + self.not_sent + self.given_up
        return self.total - begun

    @property
    def rate(self) -> float:
        """Images per second."""
        return (self.done + self.failed) / max(self.seconds, 1e-6)


class Reporter(Protocol):
    """Tells people, or programs, what happens.

    Attributes:
        lost: whether lines about results could not be written, as on a device that is full.
    """

    lost: bool

    def finished(self, image: Finished) -> None:
        """An image is done, or has failed."""

    def note(self, text: str) -> None:
        """Something worth knowing."""

    def tick(self, tally: Tally) -> None:
        """Time has passed."""

    def close(self) -> None:
        """No image follows."""


def reporter_for(as_json: bool) -> Reporter:
    """The reporter that suits where the output goes."""
    human: Reporter = Bar() if _is_terminal(as_json) else Plain(quiet=as_json)
    return JsonLines(human) if as_json else human


def _is_terminal(as_json: bool) -> bool:
    """Whether somebody watches. JSON lines and a bar on one terminal would spoil each other."""
    can_draw = os.environ.get("TERM") not in ("dumb", "unknown")  # as rich has it
    return can_draw and sys.stderr.isatty() and sys.stdout.isatty() is not as_json


class Plain:
    """Lines: results on stdout, the rest on stderr."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self.lost = False

    def finished(self, image: Finished) -> None:
        if image.error is None:
            if not self._quiet:
                self.lost |= not _write(sys.stdout, _success(image))
        elif not image.not_sent:  # thousands of lines with one reason would hide the others
            self.note(_failure(image))

    def note(self, text: str) -> None:
        _write(sys.stderr, text)

    def tick(self, tally: Tally) -> None:
        pass

    def close(self) -> None:
        pass


class Bar:
    """A bar at the foot of the terminal; failures and notes scroll past above it."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console: Console = Console(stderr=True, highlight=False)
        self._progress: Progress | None = None
        self.lost = False

    def finished(self, image: Finished) -> None:
        if image.error is not None and not image.not_sent:
            self._console.print(_failure(image), style="red", markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def tick(self, tally: Tally) -> None:
        if self._progress is None:
            self._progress = _progress(self._console)
            self._progress.add_task("", total=tally.total, state="")
            self._progress.start()
        self._progress.update(
            self._progress.task_ids[0],
            completed=tally.done + tally.failed + tally.before,
            state=_state(tally),
        )
        self._progress.refresh()

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()


class JsonLines:
    """One JSON object for each image on stdout; the rest is told to somebody else."""

    def __init__(self, human: Reporter) -> None:
        self._human = human
        self.lost = False

    def finished(self, image: Finished) -> None:
        self.lost |= not _write(sys.stdout, json.dumps(_as_json(image)))
        if image.error is not None:
            self._human.finished(image)

    def note(self, text: str) -> None:
        self._human.note(text)

    def tick(self, tally: Tally) -> None:
        self._human.tick(tally)

    def close(self) -> None:
        self._human.close()


def _success(image: Finished) -> str:
    cost = "" if image.cost is None else f", {dollars(image.cost)}"
    where = in_one_line(image.output)
    return f"{in_one_line(image.source)} -> {where} ({image.seconds:.1f} s{cost})"


def _failure(image: Finished) -> str:
    if isinstance(image.error, InterruptedByUser):
        how = "interrupted" if image.error.lasting else "given up"
        name = f" (taskUUID {image.task_uuid})" if image.task_uuid else ""
        return f"{how}: {in_one_line(image.source)}{name}"
    return f"failed: {in_one_line(image.source)}: {in_one_line(image.error)}"


def _as_json(image: Finished) -> dict[str, Any]:
    error = image.error
    return {
        "source": image.source,
        "output": None if image.output is None else str(image.output),
        "task_uuid": image.task_uuid,
        "cost": image.cost,
        "attempts": image.attempts,
        "seconds": round(image.seconds, 3),
        "error": error
        and {
            "type": type(error).__name__,
            "code": getattr(error, "code", None),
            "message": str(error),
        },
    }


def dollars(amount: float) -> str:
    """An amount in US dollars; upscaling an image costs a fraction of a cent."""
    return f"${amount:.4f}"


def summary(tally: Tally, out: Path) -> str:
    """How it ended, and where the results lie."""
    parts = [f"{counted(tally.done)} upscaled in {tally.seconds:.1f} s for {dollars(tally.cost)}"]
    if tally.failed:
        parts.append(f"{tally.failed} failed")
    if tally.not_sent:
        parts.append(f"{tally.not_sent} not sent: the connection was lost")
    if tally.before:
        parts.append(f"{tally.before} done before")
    if tally.given_up and tally.lasting:
        parts.append(f"{tally.given_up} interrupted: the same command goes on with them")
    elif tally.given_up:
        parts.append(f"{tally.given_up} given up, which the service may still finish and bill")
    if tally.rest > 0:
        parts.append(f"{tally.rest} not started")
    text = "; ".join(parts)
    return f"{text}\nresults: {in_one_line(out.absolute())}" if tally.done else text


def counted(number: int) -> str:
    return f"{number} image" if number == 1 else f"{number} images"


def _state(tally: Tally) -> str:
    failed = f"[red]{tally.failed} failed[/]" if tally.failed else "0 failed"
    return (
        f"{tally.done} done, {failed}, {tally.in_flight} in flight, "
        f"{tally.rate:.1f} images/s, {dollars(tally.cost)}"
    )


def _progress(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[state]}"),
        console=console,
        auto_refresh=False,  # the event loop refreshes it: the numbers are not for other threads
        transient=True,
        expand=True,
    )


def _write(stream: IO[str], line: str) -> bool:
    """Whether nothing is lost. Images that are paid for are wanted in any case."""
    try:
        print(line, file=stream, flush=True)
    except OSError as error:
        is_result = stream is sys.stdout
        let_go_of("stdout" if is_result else "stderr")
        if isinstance(error, BrokenPipeError):  # the reader has left (`| head`)
            return True
        if is_result:
            _write(sys.stderr, complaint(error))
        return False
    return True
