"""The command ``upscale``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..client import RunwareClient
from ..options import UpscaleOptions
from ..protocol.request import request_members
from ..settings import Settings
from .batch import Batch
from .connection import connect, service_of
from .errors import UsageError
from .exit_status import FAILED, SUCCESS
from .folder import check_writable, create
from .inputs import ImageFinder, listed
from .names import DEFAULT_NAME, FIELDS, FORMATS
from .options import (
    CONNECTION,
    LIMITS,
    OUTPUT,
    RECONNECT_TIME,
    RESULTS,
    ConnectionArguments,
    ReconnectTime,
    default_of,
    option,
    request_option,
)
from .output import Output
from .overwriting import resolve_conflicts
from .plan import Plan, make_plan
from .preview import show_plan
from .record import RECORD_NAME, FolderRecord
from .report import check_report, write_report
from .summary import ImageReport, Summary, dollars, images


@dataclass(frozen=True, kw_only=True)
class UpscaleArguments:
    """The arguments and options of ``upscale``."""

    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGES",
            help="Image files, folders, patterns such as 'photos/**/*.png', and http(s) URLs. A "
            "folder stands for the JPG, PNG and WEBP files in it, sorted by name. Hidden files "
            "are ignored.",
            show_default=False,
        ),
    ] = None
    files_from: Annotated[
        str | None,
        option(
            "Read more IMAGES from a file, one per line or each followed by NUL; - is stdin.",
            value="FILE",
        ),
    ] = None
    recursive: Annotated[
        bool, option("Include subfolders, and keep their tree in --out.", "--recursive", "-r")
    ] = False
    dry_run: Annotated[
        bool,
        option(
            "Send nothing. Show what would be upscaled, with sizes and the estimated cost.",
            "--dry-run",
            "-n",
        ),
    ] = False
    out: Annotated[
        Path,
        option(
            f"Folder for the results, created if missing. A record of them ({RECORD_NAME}) says "
            "which result belongs to which input and options.",
            "--out",
            "-o",
            value="DIR",
            panel=RESULTS,
        ),
    ] = Path("upscaled")
    name: Annotated[
        str,
        option(
            "Name of each result, such as '{stem}-{factor}x'. Fields: "
            + ", ".join(f"{{{field}}}" for field in FIELDS)
            + ". A suffix is added if the format needs another one: photo.png gives "
            "photo.png.jpg. Default: {name}.",
            value="TEMPLATE",
            panel=RESULTS,
            show_default=False,
        ),
    ] = DEFAULT_NAME
    skip_existing: Annotated[
        bool,
        option(
            "Skip images that have a result already, made from the same content with the same "
            "options by the same service. If the input has changed, the result is made again.",
            "--skip-existing",
            panel=RESULTS,
        ),
    ] = False
    overwrite: Annotated[
        bool,
        option(
            "Overwrite existing files. Otherwise the command asks, or refuses without a terminal.",
            "--overwrite",
            panel=RESULTS,
        ),
    ] = False
    report: Annotated[
        Path | None,
        option(
            "Write a page that shows each image before and after, and each failure with its "
            "reason. It works without a network.",
            "--report",
            value="FILE.html",
            panel=RESULTS,
        ),
    ] = None
    factor: Annotated[int, request_option("upscale_factor", "-f")] = 4
    format: Annotated[
        str | None,
        request_option("output_format", more=("same",), text=" With same, that of each input."),
    ] = None
    quality: Annotated[int | None, request_option("output_quality")] = None
    as_json: Annotated[
        bool,
        option(
            "Print one JSON object for each image to stdout: source, output, task_uuid, cost, "
            "attempts, seconds, input_size, output_size, effective_scale, error.",
            "--json",
            panel=OUTPUT,
        ),
    ] = False
    quiet: Annotated[bool, option("Print failures only.", "--quiet", "-q", panel=OUTPUT)] = False
    verbose: Annotated[
        bool, option("Also print connection events.", "--verbose", "-v", panel=OUTPUT)
    ] = False
    max_cost: Annotated[
        float | None,
        option(
            "Stop before the run costs more than this. An image in flight counts as the highest "
            "cost so far.",
            value="DOLLARS",
            panel=LIMITS,
        ),
    ] = None
    max_in_flight: Annotated[
        int, option("Maximum number of images in flight.", value="NUMBER", panel=LIMITS)
    ] = default_of(RunwareClient, "max_in_flight")
    max_retries: Annotated[
        int, option("Maximum retries after a transient error.", value="NUMBER", panel=LIMITS)
    ] = default_of(RunwareClient, "max_retries")
    timeout: Annotated[
        float, option("Time limit of one image, with its retries.", value="SECONDS", panel=LIMITS)
    ] = default_of(RunwareClient, "timeout")
    max_reconnect_time: ReconnectTime = RECONNECT_TIME
    journal: Annotated[
        Path | None,
        option(
            "File that makes the command resumable: if it is killed and run again with the same "
            "arguments, it continues. Implies --skip-existing. The file is created if missing, and "
            "readable by its owner only: it may contain images and links.",
            value="FILE",
            panel=CONNECTION,
        ),
    ] = None
    delivery: Annotated[str | None, request_option("delivery_method", panel=CONNECTION)] = None

    def all_images(self) -> list[str]:
        """Return the IMAGES, with those of ``--files-from``.

        Raises:
            UsageError: there are none.
        """
        if not self.images and self.files_from is None:
            raise UsageError("IMAGES: none given; give files, folders or URLs, or --files-from")
        return [*(self.images or ()), *(listed(self.files_from) if self.files_from else ())]

    def output_format(self) -> str | None:
        """Return the format in upper case; ``SAME`` for that of each input."""
        return self.format and FORMATS.get(self.format.lower(), self.format.upper())

    def task_options(self) -> UpscaleOptions:
        """Return the options of each task.

        Raises:
            InputError: one of them is wrong.
        """
        output_format = self.output_format()
        options = {
            "upscale_factor": self.factor,
            "output_format": None if output_format == "SAME" else output_format,
            "output_quality": self.quality,
            "delivery_method": self.delivery,
            # The result comes over the connection, and survives its loss as any other answer. A
            # link would need a download, with its own failures, retries and dependencies.
            "output_type": "base64Data",
            "include_cost": True,
        }
        request_members(options)
        return options  # type: ignore[return-value]  # request_members has checked every value

    def limits(self) -> dict[str, Any]:
        """Return the settings of the client.

        Raises:
            InputError: one of them is wrong.
        """
        limits: dict[str, Any] = {
            "max_in_flight": self.max_in_flight,
            "max_retries": self.max_retries,
            "timeout": self.timeout,
            "max_reconnect_time": self.max_reconnect_time,
            "budget": self.max_cost,
        }
        Settings(**limits)  # checks them before a folder is searched
        return limits

    def finder(self) -> ImageFinder:
        """Return the finder of the images.

        Raises:
            InputError, UsageError: an argument is wrong.
        """
        return ImageFinder(
            self.all_images(),
            self.out,
            self.recursive,
            template=self.name,
            factor=self.factor,
            output_format=self.output_format(),
        )


async def upscale(arguments: UpscaleArguments, connection: ConnectionArguments) -> int:
    """Upscale images.

    \b
    Examples:
      runware-ws upscale photo.jpg --out large
      runware-ws upscale holiday/ --recursive --factor 2 --format png
      runware-ws upscale https://example.com/photo.jpg
      runware-ws upscale photos/ --skip-existing --max-cost 5
      runware-ws upscale photos/ --json > results.jsonl
      runware-ws upscale photos/ --journal jobs.db  # resumable
      runware-ws upscale photos/ --emulator         # no key, no cost

    \b
    Exit status:
      0         all images are upscaled
      1         an image failed, or the run had to stop
      2         nothing was sent: wrong arguments, no key, no image
      130, 143  stopped by Ctrl-C or SIGTERM
    """
    options, limits = arguments.task_options(), arguments.limits()
    finder = arguments.finder()
    check_writable(arguments.out)
    check_report(arguments.report)
    output = Output(arguments.as_json, quiet=arguments.quiet)
    record = FolderRecord(arguments.out)
    service = service_of(connection)
    plan = await make_plan(finder, record, options, service)
    for line in plan.skipped.lines("skipped {names} ({reason})"):
        output.note(line)
    skips = arguments.skip_existing or arguments.journal is not None
    if skips:
        plan.keep_done()
    if arguments.dry_run:
        return show_plan(plan, arguments.out, output, arguments.as_json)
    if not arguments.overwrite:
        resolve_conflicts(plan, arguments.out, redo_outdated=skips)
    _announce(plan, arguments, output)
    summary = _started_summary(plan, arguments, output)
    if plan.todo or arguments.journal is not None:
        async with connect(
            connection,
            output.note,
            verbose=arguments.verbose,
            journal=arguments.journal,
            **limits,
        ) as client:
            create(arguments.out, record)
            batch = Batch(
                client, plan.todo, arguments.out, record, output, summary, options, service
            )
            try:
                await batch.run()
            finally:
                await _conclude(summary, arguments, output)
    else:
        await _conclude(summary, arguments, output)
    return FAILED if summary.has_failures or output.incomplete else SUCCESS


def _announce(plan: Plan, arguments: UpscaleArguments, output: Output) -> None:
    """Print what a user should know before paying."""
    for line in plan.warnings():
        output.note(line)
    limit = arguments.max_cost
    if limit is not None and plan.cost > limit:
        output.note(
            f"warning: {images(len(plan.todo))} cost about {dollars(plan.cost)}; the run stops "
            f"before --max-cost {dollars(limit)}"
        )


def _started_summary(plan: Plan, arguments: UpscaleArguments, output: Output) -> Summary:
    """Return the summary of a run that begins, with what its plan has settled."""
    summary = Summary(plan.total, resumable=arguments.journal is not None)
    summary.reports = None if arguments.report is None else []
    summary.counts.update(existing=plan.kept, skipped=plan.declined)
    for image, error in plan.unusable:
        report = ImageReport(str(image.source), error=error)
        summary.add(report)
        output.image(report)
    return summary


async def _conclude(summary: Summary, arguments: UpscaleArguments, output: Output) -> None:
    """Show the summary, and write the report if there is to be one."""
    output.close()
    show = output.message if summary.has_failures or summary.unsaved else output.note
    show(summary.text(arguments.out))
    if arguments.report is not None:
        await write_report(arguments.report, summary.reports or (), output.message)
