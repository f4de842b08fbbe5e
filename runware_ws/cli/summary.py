"""The outcome of each image, and the summary of a run."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..errors import ConnectionLostError
from .errors import InterruptedByUser, one_line

Status: TypeAlias = Literal["done", "existing", "failed", "interrupted", "not sent"]


@dataclass(frozen=True, slots=True)
class ImageReport:
    """The outcome of one image.

    Attributes:
        source: path or URL of the image.
        seconds: from the moment when the image was taken to the end.
        output: the file that was written, or None.
        error: the reason why there is none, or None.
        task_uuid, cost, attempts: of the task, as far as they are known.
    """

    source: str
    seconds: float
    output: Path | None = None
    error: Exception | None = None
    task_uuid: str | None = None
    cost: float | None = None
    attempts: int | None = None

    @property
    def status(self) -> Status:
        if self.error is None:
            return "done"
        if isinstance(self.error, InterruptedByUser):
            return "interrupted"
        if isinstance(self.error, ConnectionLostError) and self.error.task_uuid is None:
            return "not sent"  # its turn came after the client had given up
        return "failed"

    def line(self) -> str:
        """Return the line for people."""
        source = one_line(self.source)
        if self.status == "interrupted":
            task = f" (taskUUID {self.task_uuid})" if self.task_uuid else ""
            return f"interrupted: {source}{task}"
        if self.error is not None:
            return f"failed: {source}: {one_line(self.error)}"
        cost = "" if self.cost is None else f", {dollars(self.cost)}"
        return f"{source} -> {one_line(self.output)} ({self.seconds:.1f} s{cost})"

    def as_json(self) -> dict[str, Any]:
        """Return the object for programs."""
        error = self.error
        return {
            "source": self.source,
            "output": None if self.output is None else str(self.output),
            "task_uuid": self.task_uuid,
            "cost": self.cost,
            "attempts": self.attempts,
            "seconds": round(self.seconds, 3),
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
        resumable: True if the same command, run again, finishes what is interrupted.
        counts: number of images by status.
        in_flight: number of images in flight.
        cost: of all results, in US dollars.
        started: time of the start.
        reports: the outcome of each image, if they are kept for a report; else None.
    """

    total: int
    resumable: bool = False
    counts: Counter[Status] = field(default_factory=Counter)
    in_flight: int = 0
    cost: float = 0.0
    started: float = field(default_factory=time.monotonic)
    reports: list[ImageReport] | None = None

    def add(self, report: ImageReport) -> None:
        if self.reports is not None:
            self.reports.append(report)
        self.counts[report.status] += 1
        self.cost += report.cost or 0.0

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

    def text(self, out: Path) -> str:
        """Return the text at the end of the run."""
        done = self.counts["done"]
        images = "1 image" if done == 1 else f"{done} images"
        parts = [f"{images} upscaled in {self.seconds:.1f} s for {dollars(self.cost)}"]
        parts += [f"{count} {text}" for count, text in self._others() if count > 0]
        text = "; ".join(parts)
        return f"{text}\nresults: {one_line(out.absolute())}" if done else text

    def _others(self) -> list[tuple[int, str]]:
        resume = "run the same command again to resume"
        billed = "the service may still finish and bill them"
        return [
            (self.counts["failed"], "failed"),
            (self.counts["not sent"], "not sent, the connection was lost"),
            (self.counts["existing"], "already done"),
            (self.counts["interrupted"], f"interrupted, {resume if self.resumable else billed}"),
            (self.total - sum(self.counts.values()), "not started"),
        ]


def dollars(amount: float) -> str:
    """Return an amount in US dollars, to a hundredth of a cent."""
    return f"${amount:.4f}"
