"""Upscale all images of a run, save each result, and report each outcome.

With a journal, the same command finishes a run that was killed. First it saves the results of tasks
that the earlier run has left in the journal. The tag of each such task is its entry in the record.
Then it upscales every image that has no result.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import anyio
import anyio.to_thread

from ..batch import Outcome, Outcomes
from ..client import RunwareClient
from ..errors import (
    BudgetError,
    InputError,
    InsufficientCreditsError,
    JournalError,
    ProtocolError,
    RunwareError,
    TaskError,
)
from ..pictures import picture_of
from ..results import UpscaleResult
from .errors import Interrupted
from .output import Output
from .plan import Planned, origin_of
from .record import FolderRecord, RecordedResult, ResultOrigin, entry_from, redacted
from .saving import save
from .summary import ImageReport, Summary, dollars

_SAVERS = 8  # each holds one result in memory
_REFRESH_INTERVAL = 0.1


@dataclass(eq=False)
class _SubmittedImage:
    """An image that was handed to the client.

    Attributes:
        source: path or URL.
        entry: its entry in the record, without the result.
        size: width and height in pixels, or None.
        started: time when it was handed over.
    """

    source: Path | str
    entry: RecordedResult
    size: tuple[int, int] | None = None
    started: float = field(default_factory=time.monotonic)


@dataclass(eq=False)
class Batch:
    """A run over all images.

    Attributes:
        client: a connected client.
        images: the images.
        out: the output folder, which exists.
        record: the record of that folder, open.
        output: prints the outcome of each image.
        summary: the summary to update. ``resumable`` means that the client has a journal.
        options: the options of the tasks.
        service: host of the service, for the record.
    """

    client: RunwareClient
    images: list[Planned]
    out: Path
    record: FolderRecord
    output: Output
    summary: Summary
    options: Mapping[str, Any]
    service: str
    _taken: dict[Path | str, _SubmittedImage] = field(default_factory=dict)
    _recovered: set[str] = field(default_factory=set)
    _outcomes: Outcomes[Path | str] | None = None
    _closing: str = ""  # the reason why nothing more is sent
    _savers: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    async def run(self) -> None:
        """Run until every image is done or has failed.

        If the run is cancelled or a result cannot be saved, the images in flight are given up, and
        reported with their taskUUIDs.
        """
        try:
            with self._refreshed_output():
                await self._save_recovered()
                for output_format, images in self._by_format().items():
                    await self._upscale(output_format, images)
        finally:
            self.output.close()
            self._report_unfinished()
        if self._closing:
            self.output.message(f"stopped: {self._closing}", style="red")

    def _by_format(self) -> dict[str, list[Planned]]:
        images: dict[str, list[Planned]] = defaultdict(list)
        for one in self.images:
            images[one.image.format].append(one)
        return images

    # Results of an earlier run

    async def _save_recovered(self) -> None:
        recovered = self.client.recovered()
        while not self._closing:
            try:
                outcome = await anext(recovered)  # unlike `async for`, it acknowledges nothing
            except StopAsyncIteration:
                return
            if not isinstance(outcome.error, TaskError):  # after one the image is upscaled again
                await self._finish_recovered(outcome)

    async def _finish_recovered(self, outcome: Outcome[Any]) -> None:
        entry = entry_from(outcome.tag)
        if entry is None or not await self._is_free_for(entry):
            task_uuid = getattr(outcome.result or outcome.error, "task_uuid", None)
            source = redacted(outcome.source) if outcome.source else "an image"
            entry = RecordedResult(f"{task_uuid}.jpg", source, ResultOrigin("", {}, self.service))
        if all(one.image.output.as_posix() != entry.output for one in self.images):
            self.summary.total += 1
        self._recovered.add(entry.output)
        await self._finish(_SubmittedImage(outcome.source or "an image", entry), outcome)

    async def _is_free_for(self, entry: RecordedResult) -> bool:
        """Return True if the result of an earlier run overwrites no file of another origin."""
        state_of = partial(self.record.state_of, PurePath(entry.output), entry.source)
        with suppress(OSError):
            state = await anyio.to_thread.run_sync(state_of, lambda: entry.origin)
            return state.kind != "taken"
        return False

    # Results of this run

    async def _upscale(self, output_format: str, images: list[Planned]) -> None:
        if self._closing:
            return
        outcomes = self.client.upscale_many(
            self._sources(images),
            tag=self._tag,
            **{**self.options, "output_format": output_format},
        )
        self._outcomes = outcomes
        async with aclosing(outcomes), anyio.create_task_group() as savers:
            self._savers = savers.cancel_scope
            for _ in range(_SAVERS):
                savers.start_soon(self._save_outcomes, outcomes)

    async def _save_outcomes(self, outcomes: Outcomes[Path | str]) -> None:
        while True:
            try:
                outcome = await anext(outcomes)
            except StopAsyncIteration:
                return
            if self._savers.cancel_called and outcome.result is None:
                return  # it failed for the reason for which the run stops
            await self._finish(self._taken[outcome.source], outcome)
            del self._taken[outcome.source]

    async def _sources(self, images: list[Planned]) -> AsyncIterator[Path | str]:
        """Yield the images that are still to be upscaled."""
        for one in images:
            source = one.image.source
            if self._closing:
                return
            try:
                origin = await anyio.to_thread.run_sync(
                    origin_of, one.image, self.options, self.service
                )
                if await self._was_recovered(one, origin):
                    continue
            except OSError as error:
                problem = InputError("image", f"cannot be read: {error.strerror}", "try again")
                self._report(ImageReport(str(source), error=problem))
                continue
            entry = RecordedResult(one.image.output.as_posix(), redacted(source), origin)
            self._taken[source] = _SubmittedImage(source, entry, one.size)
            yield source

    async def _was_recovered(self, one: Planned, origin: ResultOrigin) -> bool:
        """Return True if an image has the outcome of an earlier run, and has not changed since."""
        if one.image.output.as_posix() not in self._recovered:
            return False
        state_of = partial(self.record.state_of, one.image.output, one.image.source)
        state = await anyio.to_thread.run_sync(state_of, lambda: origin)
        if state.kind in ("free", "done"):
            return True
        self.summary.total += 1
        return False

    def _tag(self, source: Path | str) -> dict[str, Any]:
        return asdict(self._taken[source].entry)

    # The end of an image

    async def _finish(self, image: _SubmittedImage, outcome: Outcome[Any]) -> None:
        answer = outcome.result or outcome.error
        report = ImageReport(
            source=str(image.source),
            error=outcome.error,
            task_uuid=getattr(answer, "task_uuid", None),
            cost=outcome.result.cost if outcome.result is not None else None,
            attempts=getattr(answer, "attempts", None),
            input_size=image.size,
        )
        if outcome.result is None:
            self._consider(outcome.error)
        else:
            # A result that has arrived is paid for, so it is saved even when the run is cancelled.
            with anyio.CancelScope(shield=True):
                report = await self._save(image.entry, outcome.result, report)
        self._report(replace(report, seconds=time.monotonic() - image.started), image.entry)

    async def _save(
        self, entry: RecordedResult, result: UpscaleResult, report: ImageReport
    ) -> ImageReport:
        unsaved = replace(report, is_paid=True, task_uuid=result.attempt_uuids[-1])
        try:
            output, data = await save(result, entry, self.out, self.record)
            picture = await anyio.to_thread.run_sync(picture_of, data)
        except OSError as error:
            kept = "; it stays in the journal" if self.summary.resumable else ""
            self._stop(f"a result cannot be saved{kept}")
            return replace(unsaved, error=error)
        except RunwareError as error:
            if isinstance(error, ProtocolError):
                result.ack()  # the journal has nothing better
            return replace(unsaved, error=error)
        return replace(report, output=output, output_size=picture.size if picture else None)

    def _consider(self, error: RunwareError) -> None:
        """Send nothing more if every further image would end with the same error."""
        if isinstance(error, JournalError):
            self._stop("the journal cannot be written")
        elif isinstance(error, BudgetError):
            self._closing = f"--max-cost is reached: {dollars(error.spent)} spent"
        elif isinstance(error, InsufficientCreditsError):
            self._closing = "the account has not enough credit"

    def _stop(self, reason: str) -> None:
        """Stop at once. Results that are being saved are still reported."""
        self._closing = reason
        self._savers.cancel()

    def _report(self, report: ImageReport, entry: RecordedResult | None = None) -> None:
        self.summary.add(report)
        self.output.image(report)
        if entry is not None and report.is_unsaved and not self.summary.resumable:
            with suppress(OSError):  # the entry only tells `fetch` the name
                self.record.add(replace(entry, task_uuid=report.task_uuid))

    def _report_unfinished(self) -> None:
        """Name the images that were sent and have no outcome."""
        task_uuids = {} if self._outcomes is None else dict(self._outcomes.pending())
        for source, task_uuid in task_uuids.items():
            if (image := self._taken.get(source)) is not None:
                self._report(
                    ImageReport(
                        source=str(source),
                        seconds=time.monotonic() - image.started,
                        error=Interrupted(self.summary.resumable),
                        task_uuid=task_uuid,
                    ),
                    image.entry,
                )

    # Progress

    @contextmanager
    def _refreshed_output(self) -> Iterator[None]:
        """Show the progress until the block ends."""
        refreshing = asyncio.create_task(self._refresh())
        try:
            yield
            self._show_progress()
        finally:
            refreshing.cancel()

    async def _refresh(self) -> None:
        while True:
            self._show_progress()
            await asyncio.sleep(_REFRESH_INTERVAL)

    def _show_progress(self) -> None:
        self.summary.in_flight = sum(self.client.stats().tasks.values())
        self.output.update(self.summary)
