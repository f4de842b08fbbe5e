"""Upscales the pictures, saves the results, and tells what becomes of each."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from ..client import RunwareClient
from ..errors import RunwareError
from ..many import Outcome
from ..options import UpscaleOptions
from ..results import UpscaleResult
from .complaints import InterruptedByUser
from .report import Finished, Reporter, Tally
from .sources import Picture, Sources

__all__ = ["Batch"]

_SAVING = 8  # at once; each holds one result in memory
_TICK = 0.1


@dataclass(frozen=True, slots=True)
class _UnderWay:
    picture: Picture
    since: float

    def finished(
        self,
        outcome: Outcome[Path | str] | None,
        output: Path | None = None,
        error: Exception | None = None,
    ) -> Finished:
        answer = outcome and (outcome.result or outcome.error)
        return Finished(
            source=str(self.picture.image),
            output=output,
            error=error,
            seconds=time.monotonic() - self.since,
            task_uuid=getattr(answer, "task_uuid", None),
            cost=answer.cost if isinstance(answer, UpscaleResult) else None,
            attempts=getattr(answer, "attempts", None),
        )


class Batch:
    """One run over all pictures.

    Args:
        client: is connected.
        sources: what to upscale.
        out: the folder of the results.
        reporter: hears of each image.
        tally: is kept up to date.
    """

    def __init__(
        self, client: RunwareClient, sources: Sources, out: Path, reporter: Reporter, tally: Tally
    ) -> None:
        self._client = client
        self._sources = sources
        self._out = out
        self._reporter = reporter
        self._tally = tally
        self._under_way: dict[int, _UnderWay] = {}  # by the identity of the image
        self._room = anyio.Semaphore(_SAVING)

    async def run(self, options: UpscaleOptions) -> None:
        """Return once every image is done or has failed. Cancelled, results that have arrived
        are saved, and the rest is given up."""
        try:
            async with anyio.create_task_group() as showing:
                showing.start_soon(self._show)
                async with anyio.create_task_group() as saving:
                    async for outcome in self._client.upscale_many(self._images(), **options):
                        saving.start_soon(self._finish, outcome)
                        await self._room.acquire()  # after it: Ctrl-C here loses no result
                showing.cancel_scope.cancel()
            self._show_now()
        except anyio.get_cancelled_exc_class():
            self._reporter.close()
            for one in self._under_way.values():
                self._tell(one.finished(None, error=InterruptedByUser()))
            raise

    async def _images(self) -> AsyncIterator[Path | str]:
        """The images, one at a time, found in a thread: a folder may be large or far away."""
        pictures = self._sources.pictures()
        while (picture := await anyio.to_thread.run_sync(next, pictures, None)) is not None:
            self._under_way[id(picture.image)] = _UnderWay(picture, time.monotonic())
            yield picture.image

    async def _finish(self, outcome: Outcome[Path | str]) -> None:
        try:
            # What has arrived is paid for, so it is saved even when the rest is given up.
            with anyio.CancelScope(shield=True):
                one = self._under_way[id(outcome.source)]
                finished = await self._saved(one, outcome)
                del self._under_way[id(outcome.source)]
                self._tell(finished)
        finally:
            self._room.release()

    async def _saved(self, one: _UnderWay, outcome: Outcome[Path | str]) -> Finished:
        if outcome.result is None:
            return one.finished(outcome, error=outcome.error)
        try:
            output = await outcome.result.save(self._out / one.picture.name)
        except (OSError, RunwareError) as error:
            return one.finished(outcome, error=error)
        return one.finished(outcome, output=output)

    def _tell(self, finished: Finished) -> None:
        self._tally.add(finished)
        self._reporter.finished(finished)

    async def _show(self) -> None:
        while True:
            self._show_now()
            await anyio.sleep(_TICK)

    def _show_now(self) -> None:
        self._tally.in_flight = sum(self._client.stats().tasks.values())
        self._reporter.tick(self._tally)
