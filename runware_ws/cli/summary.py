"""The outcome of each image, and the summary of a run."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..errors import BudgetError, ConnectionLostError, InputError, TaskError
from ..pictures import effective_scale
from .errors import Interrupted, one_line

ImageStatus: TypeAlias = Literal["done", "existing", "skipped", "failed", "interrupted", "not sent"]


@dataclass(frozen=True, slots=True)
class ImageReport:
    """The outcome of one image.

    Attributes:
        source: path or URL of the image.
        seconds: seconds from handing the image to the client to the end.
        output: the file that was written, or None.
        error: the error if there is no file, or None.
        task_uuid, cost, attempts: values of the task, None if unknown.
        input_size, output_size: width and height in pixels, None if unknown.
        is_paid: whether there is a result that was paid for and is not saved.
    """

    source: str
    seconds: float = 0.0
    output: Path | None = None
    error: Exception | None = None
    task_uuid: str | None = None
    cost: float | None = None
    attempts: int | None = None
    input_size: tuple[int, int] | None = None
    output_size: tuple[int, int] | None = None
    is_paid: bool = False

    @property
    def status(self) -> ImageStatus:
        if self.error is None:
            return "done"
        if isinstance(self.error, Interrupted):
            return "interrupted"
        if isinstance(self.error, BudgetError):
            return "not sent"
        if isinstance(self.error, ConnectionLostError) and self.error.task_uuid is None:
            return "not sent"  # its turn came after the client had given up
        return "failed"

    @property
    def is_unsaved(self) -> bool:
        """Return whether the task was sent, so that there may be a result to fetch."""
        may_be_paid = self.error is not None and not isinstance(self.error, TaskError | InputError)
        return self.task_uuid is not None and (self.is_paid or may_be_paid)

    @property
    def effective_scale(self) -> float | None:
        """Return how many times larger the result is than the image, or None if it is not known."""
        if self.input_size is None or self.output_size is None:
            return None
        return effective_scale(self.input_size, self.output_size)

    def line(self) -> str:
        """Return the line to print."""
        source = one_line(self.source)
        if self.status == "interrupted":
            task = f" (taskUUID {self.task_uuid})" if self.task_uuid else ""
            return f"interrupted: {source}{task}"
        if self.error is not None:
            unsaved = f"; it is paid for, taskUUID {self.task_uuid}" if self.is_paid else ""
            return f"failed: {source}: {_reason(self.error)}{unsaved}"
        cost = "" if self.cost is None else f", {dollars(self.cost)}"
        return f"{source} -> {one_line(self.output)} ({self.seconds:.1f} s{cost})"

    def as_json(self) -> dict[str, Any]:
        """Return the object for ``--json``."""
        error = self.error
        return {
            "source": self.source,
            "output": None if self.output is None else str(self.output),
            "task_uuid": self.task_uuid,
            "cost": self.cost,
            "attempts": self.attempts,
            "seconds": round(self.seconds, 3),
            "input_size": self.input_size,
            "output_size": self.output_size,
            "effective_scale": self.effective_scale,
            "error": error
            and {
                "type": type(error).__name__,
                "code": getattr(error, "code", None),
                "message": str(error),
            },
        }


@dataclass(slots=True)
class Summary:
    """The progress of a run.

    Attributes:
        total: number of images.
        resumable: whether running the same command again finishes interrupted images.
        counts: number of images by status.
        unsaved: number of results that are, or may be, paid for and are not saved.
        in_flight: number of images in flight.
        cost: cost of all results, in US dollars.
        started: time of the start.
        reports: the outcome of each image, if they are kept for a report; else None.
    """

    total: int
    resumable: bool = False
    counts: Counter[ImageStatus] = field(default_factory=Counter)
    unsaved: int = 0
    in_flight: int = 0
    cost: float = 0.0
    started: float = field(default_factory=time.monotonic)
    reports: list[ImageReport] | None = None

    def add(self, report: ImageReport) -> None:
        if self.reports is not None:
            self.reports.append(report)
        self.counts[report.status] += 1
        self.unsaved += report.is_unsaved
        self.cost += report.cost or 0.0

    @property
    def has_failures(self) -> bool:
        return bool(self.counts["failed"] or self.counts["not sent"] or self.counts["interrupted"])

    @property
    def completed(self) -> int:
        return self.counts["done"] + self.counts["existing"] + self.counts["failed"]

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def rate(self) -> float:
        """Images per second."""
        return (self.counts["done"] + self.counts["failed"]) / max(self.seconds, 1e-6)

    @property
    def seconds_left(self) -> float | None:
        """Estimate of the time to the end; None before the first image is done."""
        return (self.total - self.completed) / self.rate if self.rate else None

    def text(self, out: Path) -> str:
        """Return the text at the end of the run."""
        done = self.counts["done"]
        if self.total == self.counts["existing"]:
            return f"nothing to do: {self.total} already done; nothing was sent, at no cost"
        parts = [f"{images(done)} upscaled in {self.seconds:.1f} s for {dollars(self.cost)}"]
        parts += [f"{count} {text}" for count, text in self._others() if count > 0]
        lines = ["; ".join(parts)]
        if done:
            lines.append(f"results: {one_line(out.absolute())}")
        if self.unsaved and not self.resumable:
            lines.append(
                "results that were not saved: `runware-ws fetch UUID… --out DIR` gets those that "
                "the service still has, without paying again"
            )
        return "\n".join(lines)

    def _others(self) -> list[tuple[int, str]]:
        resume = "run the same command again to resume"
        billed = "the service may still finish and bill them"
        return [
            (self.counts["failed"], "failed"),
            (self.counts["not sent"], "not sent"),
            (self.counts["existing"], "already done, at no cost"),
            (self.counts["skipped"], "skipped"),
            (self.counts["interrupted"], f"interrupted, {resume if self.resumable else billed}"),
            (self.total - sum(self.counts.values()), "not started"),
        ]


def images(count: int) -> str:
    """Return a number of images as a text, such as ``1 image``."""
    return "1 image" if count == 1 else f"{count} images"


def dollars(amount: float) -> str:
    """Return an amount in US dollars, to a hundredth of a cent."""
    return f"${amount:.4f}"


def duration(seconds: float) -> str:
    """Return a time as minutes and seconds, or with hours."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _reason(error: Exception) -> str:
    if isinstance(error, InputError):
        return one_line(f"{error.problem}; {error.remedy}")
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror)
    return one_line(error)
