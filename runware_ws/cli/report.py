"""The option ``--report``: a page with each image of the run, before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import anyio
import anyio.to_thread

from ..reporting import report
from ..reporting.entries import ReportEntry
from .errors import UsageError, one_line
from .summary import ImageReport


def check_report(path: Path | None) -> None:
    """Raise UsageError if `path` is given and cannot be the file of a page."""
    if path is not None and path.is_dir():
        raise UsageError(f"--report: {one_line(path)} is a folder; give the path of a file")


async def write_report(
    path: Path, reports: Iterable[ImageReport], show: Callable[[str], None]
) -> None:
    """Write the page, even if the run is cancelled, and show its address."""
    with anyio.CancelScope(shield=True):
        show(await anyio.to_thread.run_sync(_write, path, reports))


def _write(path: Path, reports: Iterable[ImageReport]) -> str:
    try:
        report(map(_entry_of, reports), path)
    except OSError as error:
        return f"--report: {one_line(path)} cannot be written: {error.strerror}"
    return f"report: {path.absolute().as_uri()}"


def _entry_of(image: ImageReport) -> ReportEntry:
    is_url = "://" in image.source
    return ReportEntry(
        name=image.source,
        before=image.source if is_url else Path(image.source),
        after=image.output,
        error="" if image.error is None else one_line(image.error),
        seconds=image.seconds,
        cost=image.cost,
        attempts=image.attempts or 1,
        task_uuid=image.task_uuid,
    )
