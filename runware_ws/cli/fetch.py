"""The command ``fetch``."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Annotated

import typer

from ..errors import RunwareError
from ..options import check_task_uuid
from ..task import UpscaleTask
from .connection import connect, service_of
from .errors import UsageError
from .exit_status import FAILED, SUCCESS
from .folder import check_writable, create
from .options import LIMITS, ConnectionArguments, option
from .output import Output
from .record import FolderRecord, RecordedResult, ResultOrigin
from .saving import save
from .summary import ImageReport


@dataclass(frozen=True, kw_only=True)
class FetchArguments:
    """The arguments and options of ``fetch``."""

    uuids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="UUIDS",
            help="taskUUIDs of the results. Default: those that the record in --out lists as not "
            "saved.",
            show_default=False,
        ),
    ] = None
    out: Annotated[
        Path,
        option(
            "Folder for the results, created if missing. A result that is listed in the record of "
            "the folder gets its name from there; any other is named after its task.",
            "--out",
            "-o",
            value="DIR",
        ),
    ] = Path("upscaled")
    timeout: Annotated[
        float, option("Time limit of one result.", value="SECONDS", panel=LIMITS)
    ] = 60.0


async def fetch(arguments: FetchArguments, connection: ConnectionArguments) -> int:
    """Get the results of tasks that were sent before, without paying again.

    The service keeps results for some time. After an interruption or a disk
    error, `runware-ws upscale` prints the tasks whose results were not saved.

    \b
    Examples:
      runware-ws fetch --out large   # results that the run could not save
      runware-ws fetch 32774e2f-e05b-4a47-a34f-4e1eeba03822

    \b
    Exit status:
      0         all results are saved
      1         a result could not be saved
      2         wrong arguments, no key
      130, 143  stopped by Ctrl-C or SIGTERM
    """
    check_writable(arguments.out)
    record, output = FolderRecord(arguments.out), Output()
    uuids = dict.fromkeys(map(check_task_uuid, arguments.uuids or record.unsaved))
    if not uuids:
        raise UsageError("UUIDS: none given, and the record of --out names no unsaved result")
    failed = 0
    async with connect(connection, output.note) as client:
        create(arguments.out, record)
        # All are asked for at once.
        tasks = [await client.attach(uuid, timeout=arguments.timeout) for uuid in uuids]
        for task in tasks:
            entry = _entry(record, task.task_uuid, service_of(connection))
            report = await _report(task, entry, arguments.out, record)
            failed += report.error is not None
            output.image(report)
    return FAILED if failed or output.incomplete else SUCCESS


def _entry(record: FolderRecord, task_uuid: str, service: str) -> RecordedResult:
    """Return the entry of a result, under its recorded name if that is free."""
    entry = record.unsaved.get(task_uuid)
    nameless = RecordedResult(f"{task_uuid}.jpg", task_uuid, ResultOrigin("", {}, service))
    if entry is None:
        return nameless
    try:
        state = record.state_of(PurePath(entry.output), entry.source, lambda: entry.origin)
    except OSError:
        return nameless
    return nameless if state.kind == "taken" else entry


async def _report(
    task: UpscaleTask, entry: RecordedResult, out: Path, record: FolderRecord
) -> ImageReport:
    report = ImageReport(entry.source, task_uuid=task.task_uuid)
    started = time.monotonic()
    try:
        output, _ = await save(await task, entry, out, record)
    except (RunwareError, OSError) as error:
        return replace(report, error=error)
    return replace(report, output=output, seconds=time.monotonic() - started)
