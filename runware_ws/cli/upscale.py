"""The command ``upscale``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import anyio.to_thread
import typer

from ..client import RunwareClient
from ..options import UpscaleOptions
from ..protocol.request import request_members
from .batch import Batch
from .connection import connect
from .errors import UsageError, one_line
from .exit_status import FAILED, SUCCESS
from .inputs import ImageFinder
from .options import (
    CONNECTION,
    LIMITS,
    RESULTS,
    ConnectionArguments,
    default_of,
    option,
    request_option,
)
from .output import Output
from .report import check_report, write_report
from .summary import Summary


@dataclass(frozen=True, kw_only=True)
class UpscaleArguments:
    """The arguments and options of ``upscale``."""

    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES",
            help="Image files, folders, and http(s) URLs. A folder stands for the JPG, PNG and "
            "WEBP files in it, sorted by name. Hidden files are ignored.",
        ),
    ]
    recursive: Annotated[
        bool, option("Include subfolders, and create them in --out.", "--recursive", "-r")
    ] = False
    out: Annotated[
        Path,
        option(
            "Folder for the results, created if missing. The result of photo.png is photo.jpg, "
            "that of a second photo is photo-2.jpg. Existing files are overwritten.",
            "--out",
            "-o",
            value="DIR",
            panel=RESULTS,
        ),
    ] = Path("upscaled")
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
    factor: Annotated[int, request_option("upscale_factor", "--factor", "-f")] = 4
    format: Annotated[str | None, request_option("output_format")] = None
    quality: Annotated[int | None, request_option("output_quality")] = None
    as_json: Annotated[
        bool,
        option(
            "Print one JSON object for each image to stdout: source, output, task_uuid, cost, "
            "attempts, seconds, error.",
            "--json",
            panel=RESULTS,
        ),
    ] = False
    max_in_flight: Annotated[
        int, option("Maximum number of images in flight.", value="NUMBER", panel=LIMITS)
    ] = default_of(RunwareClient, "max_in_flight")
    max_retries: Annotated[
        int, option("Maximum retries after a transient error.", value="NUMBER", panel=LIMITS)
    ] = default_of(RunwareClient, "max_retries")
    timeout: Annotated[
        float, option("Time limit of one image, with its retries.", value="SECONDS", panel=LIMITS)
    ] = default_of(RunwareClient, "timeout")
    max_reconnect_time: Annotated[
        float, option("Time without a connection before giving up.", value="SECONDS", panel=LIMITS)
    ] = 300.0
    journal: Annotated[
        Path | None,
        option(
            "File that makes the command resumable: killed at any time and run again with the "
            "same arguments, it continues. Images with a result in --out are skipped. Created if "
            "missing, readable by its owner only: it may contain images and links.",
            value="FILE",
            panel=CONNECTION,
        ),
    ] = None
    delivery: Annotated[str | None, request_option("delivery_method", panel=CONNECTION)] = None

    def task_options(self) -> UpscaleOptions:
        """Return the options of each task.

        Raises:
            InputError: one of them is wrong.
        """
        options = {
            "upscale_factor": self.factor,
            "output_format": self.format and self.format.upper(),
            "output_quality": self.quality,
            "delivery_method": self.delivery,
            # The result comes over the connection, and survives its loss as any other answer. A
            # link would need a download, with its own failures, retries and dependencies.
            "output_type": "base64Data",
            "include_cost": True,
        }
        request_members(options)
        return options  # type: ignore[return-value]  # request_members has checked every value


async def upscale(arguments: UpscaleArguments, connection: ConnectionArguments) -> int:
    """Upscale images.

    \b
    Examples:
      runware-ws upscale photo.jpg --out large
      runware-ws upscale holiday/ --recursive --factor 2 --format png
      runware-ws upscale https://example.com/photo.jpg
      runware-ws upscale photos/ --json > results.jsonl
      runware-ws upscale photos/ --journal jobs.db  # resumable
      runware-ws upscale photos/ --emulator         # no key, no cost

    \b
    Exit status:
      0         all images are upscaled
      1         an image failed, or the connection was lost
      2         nothing was sent: wrong arguments, no key, no image
      130, 143  stopped by Ctrl-C or SIGTERM
    """
    options = arguments.task_options()
    _check_writable(arguments.out)
    check_report(arguments.report)
    output = Output(arguments.as_json)
    finder = ImageFinder(arguments.images, arguments.out, arguments.recursive)
    total = await _count_images(finder, output)
    async with connect(
        connection,
        output.message,
        max_in_flight=arguments.max_in_flight,
        max_retries=arguments.max_retries,
        timeout=arguments.timeout,
        max_reconnect_time=arguments.max_reconnect_time,
        journal=arguments.journal,
    ) as client:
        _create(arguments.out)
        summary = Summary(total, resumable=arguments.journal is not None)
        summary.reports = None if arguments.report is None else []
        try:
            await Batch(client, finder, arguments.out, output, summary, options).run()
        finally:
            output.close()
            output.message(summary.text(arguments.out))
            if arguments.report is not None:
                await write_report(arguments.report, summary.reports or (), output.message)
    failed = summary.counts["failed"] or summary.counts["not sent"] or output.incomplete
    return FAILED if failed else SUCCESS


async def _count_images(finder: ImageFinder, output: Output) -> int:
    total, skipped = await anyio.to_thread.run_sync(finder.survey)
    for message in skipped.messages():
        output.message(message)
    if not total:
        raise UsageError(
            "IMAGES: no image found; give JPG, PNG or WEBP files, folders with some, or URLs"
        )
    return total


def _check_writable(folder: Path) -> None:
    """Raise UsageError if `folder`, or the folder to create it in, cannot be written to."""
    paths = (folder, *folder.absolute().parents)
    existing = next(one for one in paths if os.path.exists(one))  # noqa: PTH110  # never raises
    effective = os.access in os.supports_effective_ids
    if not existing.is_dir():
        reason = "Not a directory"
    elif not os.access(existing, os.W_OK | os.X_OK, effective_ids=effective):
        reason = "Permission denied"
    else:
        return
    raise UsageError(
        f"--out: {one_line(existing)} cannot be written to: {reason}; choose another folder"
    )


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--out: {one_line(folder)} cannot be created: {error.strerror}; choose another folder"
        ) from None
