"""The command ``upscale`` from its checked arguments to its exit status."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from ..options import UpscaleOptions
from ..protocol.request import request_members
from .batch import Batch, LastingBatch
from .complaints import UsageError, in_one_line
from .connect import Target, connected
from .report import Tally, reporter_for, summary
from .running import FAILED
from .sources import Sources

__all__ = ["Order", "options_of", "upscale_all"]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be done."""

    images: list[str]
    out: Path
    recursive: bool
    as_json: bool
    options: UpscaleOptions
    target: Target


def options_of(
    factor: int, output_format: str | None, quality: int | None, delivery: str | None
) -> UpscaleOptions:
    """The options of the request, checked.

    Raises:
        InputError: one of them is wrong.
    """
    options = {
        "upscale_factor": factor,
        "output_format": output_format and output_format.upper(),
        "output_quality": quality,
        "delivery_method": delivery,
        # The result comes over the connection that is there, and survives its loss like any
        # other answer. A link would need a second download of its own, with its own failures,
        # retries and packages, before the file is on this machine.
        "output_type": "base64Data",
        "include_cost": True,
    }
    request_members(options)
    return options  # type: ignore[return-value]  # request_members has just checked every value


async def upscale_all(order: Order) -> int:
    """Carry out the order. The exit status.

    Raises:
        UsageError, InputError: it cannot be carried out as it is.
        RunwareError: there is no connection.
    """
    _refuse_unwritable(order.out)
    reporter = reporter_for(order.as_json)
    sources = Sources(order.images, order.out, order.recursive)
    total, skipped = await anyio.to_thread.run_sync(sources.survey)
    for line in skipped.lines():
        reporter.note(line)
    if not total:
        raise UsageError("no image found; give JPG, PNG or WEBP files, folders with some, or URLs")
    lasting = order.target.settings.get("journal") is not None
    async with connected(order.target, reporter.note) as client:
        _make(order.out)
        tally = Tally(total, lasting=lasting)
        kind = LastingBatch if lasting else Batch
        try:
            await kind(client, sources, order.out, reporter, tally).run(order.options)
        finally:
            reporter.close()
            reporter.note(summary(tally, order.out))
    return FAILED if tally.failed or tally.not_sent or reporter.lost else 0


def _refuse_unwritable(folder: Path) -> None:
    """Results that are paid for must have a place to go."""
    effective = os.access in os.supports_effective_ids
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
        raise UsageError(
            f"--out: {in_one_line(folder)} cannot be written to: Permission denied; "
            "choose another folder, or change its permissions"
        )


def _make(folder: Path) -> None:
    """Make the output folder before anything is paid for."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out: {in_one_line(folder)}: {error.strerror}") from None
