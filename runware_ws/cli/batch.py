"""The run over all images: upscale each one, save its result, and report its outcome.

With a journal, a run that was killed is finished by the same command. First it saves the results
of tasks that the earlier run has left in the journal. Then it upscales every image that has no
result in the output folder. A result leaves the journal when it is saved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import anyio
import anyio.to_thread

from ..batch import Outcome, Outcomes
from ..client import RunwareClient
from ..errors import JournalError, RunwareError, TaskError
from ..options import UpscaleOptions
from ..results import UpscaleResult
from .errors import InterruptedByUser
from .inputs import ImageFinder, InputImage, absolute_path
from .output import Output
from .summary import ImageReport, Summary

_SAVERS = 8  # each holds one result in memory
_REFRESH_INTERVAL = 0.1


@dataclass(eq=False)
class Batch:
    """A run over all images.

    Attributes:
        client: a connected client.
        finder: finds the images.
        out: the output folder.
        output: prints the outcome of each image.
        summary: is kept up to date. Its ``resumable`` tells that the client has a journal.
        options: the options of each task.
    """

    client: RunwareClient
    finder: ImageFinder
    out: Path
    output: Output
    summary: Summary
    options: UpscaleOptions
    _started: dict[Path | str, tuple[InputImage, float]] = field(default_factory=dict)
    _recovered: set[Path | str] = field(default_factory=set)
    _outcomes: Outcomes[Path | str] | None = None
    _stop_reason: str = ""

    async def run(self) -> None:
        """Return when every image is done or has failed.

        When cancelled, results that have arrived are saved and the other images are given up.
        """
        try:
            with self._refreshed_output():
                await self._save_recovered()
                if not self._stop_reason:
                    await self._upscale()
        except anyio.get_cancelled_exc_class():
            self._report_interrupted()
            raise
        if self._stop_reason:
            self.output.message(f"stopped: {self._stop_reason}")

    # Results of an earlier run

    async def _save_recovered(self) -> None:
        images: dict[str, InputImage] | None = None
        async for outcome in self.client.recovered():
            if isinstance(outcome.error, TaskError):
                continue  # the image has no result, so it is upscaled again
            if images is None:
                images = await anyio.to_thread.run_sync(self._images_by_path)
            image = images.get(_key(outcome.source)) or self._unknown_image(outcome)
            self._recovered.add(image.source)
            await self._finish(image, time.monotonic(), outcome)
            if self._stop_reason:
                return

    def _images_by_path(self) -> dict[str, InputImage]:
        return {_key(image.source): image for image in self.finder.find()}

    def _unknown_image(self, outcome: Outcome[Any]) -> InputImage:
        """Return an image that the arguments do not name; its output is named after its task."""
        self.summary.total += 1
        task_uuid = getattr(outcome.result or outcome.error, "task_uuid", None)
        return InputImage(outcome.source or "an image", PurePath(f"{task_uuid}.jpg"))

    # Results of this run

    async def _upscale(self) -> None:
        async with aclosing(self.client.upscale_many(self._sources(), **self.options)) as outcomes:
            self._outcomes = outcomes
            async with anyio.create_task_group() as savers:
                for _ in range(_SAVERS):
                    savers.start_soon(self._save_outcomes, outcomes, savers.cancel_scope)

    async def _save_outcomes(
        self, outcomes: Outcomes[Path | str], savers: anyio.CancelScope
    ) -> None:
        async for outcome in outcomes:
            if savers.cancel_called:
                return
            await self._finish(*self._started[outcome.source], outcome)
            del self._started[outcome.source]
            if self._stop_reason:
                savers.cancel()
                return

    async def _sources(self) -> AsyncIterator[Path | str]:
        """Yield the images that are still to be upscaled.

        They are searched in a thread, because a folder may be large or on another machine.
        """
        images = self.finder.find()
        while (image := await anyio.to_thread.run_sync(next, images, None)) is not None:
            if self.summary.resumable and await self._is_done(image):
                continue
            self._started[image.source] = image, time.monotonic()
            yield image.source

    async def _is_done(self, image: InputImage) -> bool:
        if image.source in self._recovered:
            return True
        suffix = "." + (self.options.get("output_format") or "JPG").lower()
        exists = await anyio.Path(self.out / image.output).with_suffix(suffix).exists()
        self.summary.counts["existing"] += exists
        return exists

    # The end of an image

    async def _finish(self, image: InputImage, started: float, outcome: Outcome[Any]) -> None:
        # A result that has arrived is paid for, so it is saved even when the run is cancelled.
        with anyio.CancelScope(shield=True):
            output, error = await self._save(image, outcome)
        answer = outcome.result or outcome.error
        self._report(
            ImageReport(
                source=str(image.source),
                seconds=time.monotonic() - started,
                output=output,
                error=error,
                task_uuid=getattr(answer, "task_uuid", None),
                cost=answer.cost if isinstance(answer, UpscaleResult) else None,
                attempts=getattr(answer, "attempts", None),
            )
        )

    async def _save(
        self, image: InputImage, outcome: Outcome[Any]
    ) -> tuple[Path | None, Exception | None]:
        if outcome.result is None:
            if isinstance(outcome.error, JournalError):
                self._stop_reason = "the journal cannot be written"
            return None, outcome.error
        try:
            return await outcome.result.save(self.out / image.output), None
        except RunwareError as error:
            return None, error
        except OSError as error:
            # The disk may be full. Another result would leave the journal without being saved.
            if self.summary.resumable:
                self._stop_reason = "a result cannot be saved; it stays in the journal"
            return None, error

    def _report(self, report: ImageReport) -> None:
        self.summary.add(report)
        self.output.image(report)

    def _report_interrupted(self) -> None:
        self.output.close()
        task_uuids = dict(self._outcomes.pending()) if self._outcomes is not None else {}
        for source, (_, started) in self._started.items():
            error = InterruptedByUser(self.summary.resumable)
            seconds = time.monotonic() - started
            task_uuid = task_uuids.get(source)
            self._report(ImageReport(str(source), seconds, error=error, task_uuid=task_uuid))

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


def _key(source: Path | str | None) -> str:
    return absolute_path(source) if isinstance(source, Path) else str(source)
